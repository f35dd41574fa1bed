package heartbeat

import (
	"os"
	"sync"
	"syscall"

	"temporal-heartbeat.dev/go/internal/abi"
)

// watcher tells all open activities of the process what the library hears of them. It has one goroutine, which waits in Go's own poller
// and so holds no thread. It is there while an activity is open.
type watcher struct {
	watch abi.Watch
	file  *os.File             // readable while watch has news
	open  map[uint64]*Activity // by user data; watching.mu
}

var watching struct {
	mu      sync.Mutex
	current *watcher // nil while nothing is open
	lastID  uint64
}

// watch begins to tell an activity of its signals.
func watch(a *Activity) *abi.Error {
	watching.mu.Lock()
	defer watching.mu.Unlock()
	if w := watching.current; w != nil && w.add(a) == nil {
		return nil
	}
	// There is none, or a Disconnect closed it and its goroutine has yet to notice.
	w, err := newWatcher()
	if err != nil {
		return err
	}
	if err := w.add(a); err != nil {
		w.watch.Close()
		w.file.Close()
		return err
	}
	watching.current = w
	go w.run()
	return nil
}

// unwatch ends that, and with the last activity the watcher.
func unwatch(a *Activity) {
	watching.mu.Lock()
	defer watching.mu.Unlock()
	w := a.watcher
	delete(w.open, a.id)
	if len(w.open) == 0 && watching.current == w {
		watching.current = nil
		w.watch.Close() // which ends the goroutine
	}
}

func newWatcher() (*watcher, *abi.Error) {
	watch, err := abi.OpenWatch()
	if err != nil {
		return nil, err
	}
	fd, err := watch.OpenFD()
	if err != nil {
		watch.Close()
		return nil, err
	}
	// Only such a descriptor is the poller's to wait for; this one is never read.
	syscall.SetNonblock(fd, true)
	return &watcher{watch: watch, file: os.NewFile(uintptr(fd), "temporal-heartbeat watch"), open: map[uint64]*Activity{}}, nil
}

// add is called with watching.mu held.
func (w *watcher) add(a *Activity) *abi.Error {
	watching.lastID++
	if err := w.watch.Add(a.handle, watching.lastID); err != nil {
		return err
	}
	a.watcher, a.id = w, watching.lastID
	w.open[a.id] = a
	return nil
}

// run tells news until the watch is closed.
func (w *watcher) run() {
	defer w.file.Close()
	connection, err := w.file.SyscallConn()
	if err != nil {
		w.abandon(refused("watch", StatusInternal, err.Error(), err))
		return
	}
	err = connection.Read(func(uintptr) (closed bool) { return w.tell() })
	if err != nil {
		w.abandon(refused("watch", StatusInternal, err.Error(), err))
	}
}

// tell passes on all news that there are.
func (w *watcher) tell() (closed bool) {
	for {
		change, ok, err := w.watch.Next()
		if err != nil { // nobody but Disconnect closes the watch of open activities
			w.abandon(refused("watch", StatusNotConnected, "the client was disconnected, which closed the activity", failed("watch", err)))
			return true
		}
		if !ok {
			return false
		}
		watching.mu.Lock()
		a := w.open[change.UserData]
		watching.mu.Unlock()
		if a != nil {
			a.stop(Signals(change.Signals))
			a.wake()
		}
	}
}

// abandon stops the work of all activities that nothing will be heard of any more.
func (w *watcher) abandon(cause error) {
	watching.mu.Lock()
	if watching.current == w {
		watching.current = nil
	}
	open := w.open
	w.open = nil
	w.watch.Close() // unless that was the reason
	watching.mu.Unlock()
	for _, a := range open {
		a.cancel(cause)
		a.wake()
	}
}
