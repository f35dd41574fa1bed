package heartbeat

import (
	"context"
	"runtime"
	"sync"
	"time"

	"temporal-heartbeat.dev/go/internal/abi"
)

// pendingCall is a call in progress. Its goroutine waits for the answer on a channel, and blocks no OS thread.
type pendingCall struct {
	queue  abi.Queue
	id     uint64
	answer abi.Answer
	done   chan struct{} // receives a value when the answer is set
}

// calls holds the calls in progress. All of them use one queue. One goroutine takes its answers.
var calls = struct {
	mu      sync.Mutex
	queue   abi.Queue // 0 before the first call
	lastID  uint64
	pending map[uint64]*pendingCall // by id, which is the user data of the answer

	unused sync.Pool     // of *pendingCall
	ended  chan struct{} // has a value if a call has ended since a goroutine last waited for that
}{
	pending: map[uint64]*pendingCall{},
	unused:  sync.Pool{New: func() any { return &pendingCall{done: make(chan struct{}, 1)} }},
	ended:   make(chan struct{}, 1),
}

// errStaleEpoch is the error of a call with values of an earlier epoch. Nothing was sent.
var errStaleEpoch = new(abi.Error)

// begin submits a call. Its answer follows, unless begin returns an error. epoch is the epoch in which values were encoded; nil: the
// request has no such values.
func begin(epoch *codecEpoch, r *abi.Request, timeoutMs uint32) (*pendingCall, *abi.Error) {
	if epoch != nil {
		epochMu.RLock()
		defer epochMu.RUnlock()
		if currentEpoch.Load() != epoch {
			return nil, errStaleEpoch
		}
	}
	// One goroutine at a time is in the library. If several waited for the library's locks there, each would block a thread.
	calls.mu.Lock()
	defer calls.mu.Unlock()
	if calls.queue == 0 {
		queue, err := abi.OpenQueue()
		if err != nil {
			return nil, err
		}
		calls.queue = queue
		go takeAnswers(queue)
	}
	c := calls.unused.Get().(*pendingCall)
	calls.lastID++
	c.queue, c.id = calls.queue, calls.lastID
	if err := c.queue.Submit(c.id, r, timeoutMs); err != nil {
		calls.unused.Put(c)
		return nil, err
	}
	calls.pending[c.id] = c
	return c, nil
}

// takeAnswers gives each answer of the queue to its call. It waits in C, in the only thread that calls need.
func takeAnswers(queue abi.Queue) {
	var answered []*pendingCall
	for {
		answers, err := queue.Next()
		if err != nil {
			abandonQueue(err)
			return
		}
		calls.mu.Lock()
		for _, id := range answers.UserData {
			answered = append(answered, calls.pending[id])
			delete(calls.pending, id)
		}
		calls.mu.Unlock()
		for i, c := range answered {
			c.answer = answers.At(i)
			c.done <- struct{}{}
		}
		answers.Free()
		clear(answered)
		answered = answered[:0]
		notifyEnded()
		runtime.Gosched() // the goroutines of these calls run before this one blocks the processor in C
	}
}

// abandonQueue ends all calls with an error. The next call opens another queue.
func abandonQueue(err *abi.Error) {
	calls.mu.Lock()
	defer calls.mu.Unlock()
	for _, c := range calls.pending {
		c.answer.Err = err
		c.done <- struct{}{}
	}
	clear(calls.pending)
	calls.queue = 0
}

// wait waits for the answer. If ctx ends before, it cancels the call, and returns false at once.
func (c *pendingCall) wait(ctx context.Context) (_ abi.Answer, ok bool) {
	select {
	case <-c.done:
	case <-ctx.Done():
		select {
		case <-c.done: // prefer an answer to the end of the context
		default:
			calls.mu.Lock()
			defer calls.mu.Unlock()
			c.queue.Cancel(c.id)
			return abi.Answer{}, false
		}
	}
	answer := c.answer
	c.answer = abi.Answer{}
	calls.unused.Put(c)
	return answer, true
}

// waitForEnd waits until a call has ended, for at most the timeout. It returns false if none has.
func waitForEnd(ctx context.Context, timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-calls.ended:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// notifyEnded lets one call of waitForEnd return.
func notifyEnded() {
	select {
	case calls.ended <- struct{}{}:
	default:
	}
}
