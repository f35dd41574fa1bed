package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os/exec"
	"time"

	"temporal-heartbeat.dev/go/heartbeat"
)

// Open the activity, resume where the previous attempt stopped, and stop when its context is cancelled.
func Example() {
	ctx := context.Background()
	items := []string{"a", "b", "c"}

	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		log.Fatal(err)
	}
	defer heartbeat.Disconnect(ctx)

	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{StallTimeout: 10 * time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer act.Close(ctx)

	next := 0
	if act.HasHeartbeatDetails() {
		if err := act.GetHeartbeatDetails(&next); err != nil {
			log.Fatal(err)
		}
		next++
	}
	for ; next < len(items) && act.Context().Err() == nil; next++ {
		fmt.Println("processing", items[next])
		if _, err := act.RecordHeartbeat(next); err != nil {
			log.Fatal(err)
		}
		if _, err := act.WaitWhilePaused(ctx); err != nil { // returns at once if the activity isn't paused
			log.Fatal(err)
		}
	}
	switch cause := context.Cause(act.Context()); {
	case next == len(items):
		err = act.Complete(ctx, len(items))
	case errors.Is(cause, heartbeat.ErrCancelRequested):
		err = act.ReportCancelled(ctx)
	default:
		err = cause // another attempt has taken over, or soon will
	}
	if err != nil {
		log.Fatal(err)
	}
}

// The same with functions that send one request each.
func Example_oneCallOneRequest() {
	ctx := context.Background()
	items := []string{"a", "b", "c"}

	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		log.Fatal(err)
	}
	defer heartbeat.Disconnect(ctx)

	token, err := heartbeat.TokenFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	details, err := heartbeat.GetDetails(ctx, token)
	if err != nil {
		log.Fatal(err)
	}
	next := 0
	if details.Has() {
		if err := details.Get(&next); err != nil {
			log.Fatal(err)
		}
		next++
	}
	for ; next < len(items); next++ {
		fmt.Println("processing", items[next])
		if _, err := heartbeat.RecordHeartbeat(ctx, token, next); err != nil {
			log.Fatal(err)
		}
	}
	if err := heartbeat.Complete(ctx, token, len(items)); err != nil {
		log.Fatal(err)
	}
}

func ExampleConnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := heartbeat.Connect(ctx, heartbeat.Options{HostPort: "127.0.0.1:7233", Namespace: "default", Identity: "solver-7"})
	switch {
	case errors.Is(err, heartbeat.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		log.Fatal("is the server up? ", err)
	case err != nil:
		log.Fatal(err)
	}
}

// Handle each error and each signal.
func ExampleRecordHeartbeat() {
	ctx := context.Background()
	token, item := []byte("from the parent process"), 41

	signals, err := heartbeat.RecordHeartbeat(ctx, token, item)
	var failed *heartbeat.Error
	switch {
	case errors.Is(err, heartbeat.ErrNotFound):
		log.Print("over for this token: stop")
	case errors.As(err, &failed) && failed.Retryable:
		log.Print("not acknowledged, continue and beat again: ", err)
	case err != nil:
		log.Fatal(err)
	case signals.CancelRequested():
		err = heartbeat.ReportCancelled(ctx, token, item)
	case signals.Paused():
		log.Print("hold the work, but keep beating")
	case signals.Reset():
		log.Print("the activity starts over: stop")
	}
}

// The caller has the token and knows the previous details.
func ExampleOpen() {
	ctx, token := context.Background(), []byte("from the worker")
	previous, err := heartbeat.NewDetails(41)
	if err != nil {
		log.Fatal(err)
	}
	act, err := heartbeat.Open(ctx, token, heartbeat.OpenOptions{
		HeartbeatTimeout: 30 * time.Second,
		InitialDetails:   &previous, // so that the library needn't ask the server
	})
	if err != nil {
		log.Fatal(err)
	}
	defer act.Close(ctx)
}

// A call that doesn't hold the activity open forwards the details of the previous attempt.
func ExampleDetails_Values() {
	ctx, token := context.Background(), []byte("from the parent process")
	details, err := heartbeat.GetDetails(ctx, token)
	if err == nil && details.Has() {
		_, err = heartbeat.RecordHeartbeat(ctx, token, details.Values()...)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// The work depends only on the context.
func ExampleActivity_Context() {
	var act *heartbeat.Activity // by Open
	program := exec.CommandContext(act.Context(), "./solver")
	err := program.Run() // killed when the context is cancelled
	switch cause := context.Cause(act.Context()); {
	case errors.Is(cause, heartbeat.ErrNotFound), errors.Is(cause, heartbeat.ErrLeaseLost):
		log.Print("this attempt is over: ", cause)
	case errors.Is(cause, heartbeat.ErrCancelRequested):
		err = act.ReportCancelled(context.Background())
	case err != nil:
		err = act.Fail(context.Background(), err)
	default:
		err = act.Complete(context.Background(), nil)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// Stop the work while the activity is paused. The heartbeats continue.
func ExampleActivity_WaitCleared() {
	var act *heartbeat.Activity // by Open
	signals, err := act.RecordHeartbeat(41)
	if err == nil && signals.Paused() {
		_, err = act.WaitCleared(act.Context(), heartbeat.SignalPaused)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleFailureFrom() {
	err := fmt.Errorf("read items: %w", fs.ErrNotExist)
	failure := heartbeat.FailureFrom(err)
	failure.NonRetryable = errors.Is(err, fs.ErrNotExist)
	fmt.Println(failure.Message) // pass the failure to Fail
	fmt.Println("cause:", failure.Cause.Message)
	// Output:
	// read items: file does not exist
	// cause: file does not exist
}

func ExampleFail() {
	ctx, token := context.Background(), []byte("from the parent process")
	err := heartbeat.Fail(ctx, token, heartbeat.Failure{ // or any other error
		Message:          "the licence server is down",
		Type:             "LicenceServerDown",
		NextRetryDelay:   time.Minute,
		HeartbeatDetails: []any{41}, // arrives together with the failure
	})
	if errors.Is(err, heartbeat.ErrInDoubt) {
		log.Print("it may have been applied")
	}
}

// Convert and encrypt a value, and pass the Payload.
func ExampleNewPayload() {
	encrypt := func(plain []byte) []byte { return append([]byte("sealed:"), plain...) }

	plain, err := heartbeat.NewPayload(41)
	if err != nil {
		log.Fatal(err)
	}
	secret := heartbeat.Payload{
		Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")},
		Data:     encrypt(plain.Data), // give it to RecordHeartbeat or Complete
	}
	fmt.Printf("%s %s\n", secret.Encoding(), secret.Data)
	// Output: binary/encrypted sealed:41
}

func ExampleSignals() {
	signals := heartbeat.SignalPaused | heartbeat.SignalCancelRequested
	fmt.Println(signals, signals.CancelRequested(), signals.Reset())
	// Output: CANCEL_REQUESTED|PAUSED true false
}
