//go:build go1.24

package heartbeat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// manyCalls is a number of goroutines with a call in progress. The Go runtime ends a program that needs as many threads.
const manyCalls = 10_000

// maxThreads is the highest number of threads of a process with any number of calls in progress.
const maxThreads = 16

// callMany makes calls in as many goroutines, and sends their errors.
func callMany(count int, call func(number int) error) <-chan error {
	ended := make(chan error, count)
	for number := range count {
		go func() { ended <- call(number) }()
	}
	return ended
}

// wantFewThreads checks the number of threads of this process.
func wantFewThreads(t *testing.T) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	skipUnless(t, "/proc/self/status", err == nil)
	_, rest, _ := strings.Cut(string(status), "Threads:")
	if threads, err := strconv.Atoi(strings.Fields(rest)[0]); err != nil || threads > maxThreads {
		t.Errorf("%d threads, %v", threads, err)
	}
}

// wantNoCalls checks that no call is in progress, soon.
func wantNoCalls(t *testing.T) {
	t.Helper()
	waitForCalls(t, 0)
}

// numberIn returns the number between "token-" and a dot.
func numberIn(message []byte) int {
	_, rest, _ := bytes.Cut(message, []byte("token-"))
	text, _, _ := bytes.Cut(rest, []byte("."))
	number, _ := strconv.Atoi(string(text))
	return number
}

func tokenOf(number int) []byte {
	return fmt.Appendf(nil, "token-%d.", number)
}

func TestManyGoroutinesGetTheirOwnAnswersWithFewThreads(t *testing.T) {
	r := newRecorder(t)
	r.answer = func(message []byte) (response []byte, refusal string) {
		switch number := numberIn(message); number % 3 {
		case 1:
			return []byte{1 << 3, 1}, "" // cancel_requested = true
		case 2:
			return nil, fmt.Sprintf("refused: %d.", number)
		}
		return nil, ""
	}
	connectWithOptions(t, r.options(nil))
	r.answers.Lock()
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	ended := callMany(manyCalls, func(number int) error {
		signals, err := RecordHeartbeat(ctx, tokenOf(number), number)
		switch {
		case number%3 == 2 && err != nil && strings.Contains(err.Error(), fmt.Sprintf("refused: %d.", number)):
			return nil
		case number%3 != 2 && err == nil && signals.CancelRequested() == (number%3 == 1):
			return nil
		}
		return fmt.Errorf("%d: %v, %w", number, signals, err)
	})
	waitForCalls(t, manyCalls)
	wantFewThreads(t)
	r.answers.Unlock()
	for range manyCalls {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	wantNoCalls(t)
}

func TestEveryCallEndsAtOnceWhenItsContextIsCancelled(t *testing.T) {
	connectLazily(t, silentServer(t))
	ctx, cancel := context.WithCancel(background)
	ended := callMany(manyCalls, func(number int) error {
		_, err := RecordHeartbeat(ctx, tokenOf(number), number)
		return err
	})
	waitForCalls(t, manyCalls)
	start := time.Now()
	cancel()
	for range manyCalls {
		wantIs(t, <-ended, context.Canceled)
	}
	if took := time.Since(start); took > DefaultTimeout/2 {
		t.Errorf("took %v", took)
	}
	wantFewThreads(t)
	wantNoCalls(t) // the library has ended the abandoned calls too
}

func TestDisconnectEndsEveryCall(t *testing.T) {
	connectLazily(t, silentServer(t))
	ended := callMany(manyCalls, func(number int) error {
		_, err := RecordHeartbeat(background, tokenOf(number), number)
		return err
	})
	waitForCalls(t, manyCalls)
	disconnectNow(t)
	for range manyCalls {
		wantIs(t, <-ended, ErrNotConnected)
	}
	wantNoCalls(t)
}

// The library accepts 64 MiB of inputs at a time.
func TestCallsBeyondTheLimitWaitForAPlace(t *testing.T) {
	connectLazily(t, silentServer(t))
	large := bytes.Repeat([]byte("x"), 1<<20)
	const accepted, waiting = 63, 40
	call := func(ctx context.Context) func(int) error {
		return func(number int) error {
			_, err := RecordHeartbeat(ctx, tokenOf(number), large)
			return err
		}
	}
	first, cancelFirst := context.WithCancel(background)
	second, cancelSecond := context.WithCancel(background)
	endedFirst := callMany(accepted, call(first))
	waitForCalls(t, accepted)
	endedSecond := callMany(waiting, call(second))
	for refused, start := false, time.Now(); !refused; { // once the library has accepted the first ones
		limited, cancel := context.WithTimeout(background, 50*time.Millisecond)
		err := call(limited)(0)
		cancel()
		wantIs(t, err, context.DeadlineExceeded)
		if refused = errors.Is(err, ErrLocalLimit); time.Since(start) > eventTimeout {
			t.Fatal(err)
		}
	}

	cancelFirst()
	waitForCalls(t, waiting)
	cancelSecond()
	for range accepted {
		wantIs(t, <-endedFirst, context.Canceled)
	}
	for range waiting {
		wantIs(t, <-endedSecond, context.Canceled)
	}
}

func TestCallsAddNoGoroutines(t *testing.T) {
	connectLazily(t, "127.0.0.1:1")
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	refused := func() {
		_, err := RecordHeartbeat(ctx, nil, 1) // without a server
		wantIs(t, err, ErrInvalidArgument)
	}
	refused()
	before := runtime.NumGoroutine()
	for range 100 {
		refused()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

func TestConnectsAreMadeOneAfterAnother(t *testing.T) {
	needLibrary(t)
	address := silentServer(t)
	var connects sync.WaitGroup
	for range 8 {
		connects.Add(1)
		go func() {
			defer connects.Done()
			ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
			defer cancel()
			wantIs(t, Connect(ctx, Options{HostPort: address}), context.DeadlineExceeded)
		}()
	}
	connects.Wait()
	connectLazily(t, address)
}
