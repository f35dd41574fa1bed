package heartbeat

import (
	"os"
	"sync"
	"syscall"

	"temporal-heartbeat.dev/go/internal/abi"
)

// watcher delivers signal changes to the open activities of the process. Its one goroutine waits in Go's network poller and so blocks no
// OS thread. The watcher exists while an activity is open.
type watcher struct {
	watch      abi.Watch
	file       *os.File             // readable while the watch has changes
	activities map[uint64]*Activity // by Activity.watchID; guarded by watching.mu
}

// watching holds the process's watcher.
var watching struct {
	mu      sync.Mutex
	current *watcher // nil while no activity is open
	lastID  uint64   // the last Activity.watchID, which is the user data of the activity in its watch
}

// startWatching adds an activity to the watcher, and starts the watcher with the first one.
func startWatching(a *Activity) *abi.Error {
	watching.mu.Lock()
	defer watching.mu.Unlock()
	if w := watching.current; w != nil && w.add(a) == nil {
		return nil
	}
	// There is no watcher, or a Disconnect closed its watch and its goroutine hasn't removed it yet.
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

// stopWatching removes an activity from its watcher, and stops the watcher with the last one.
func stopWatching(a *Activity) {
	watching.mu.Lock()
	defer watching.mu.Unlock()
	w := a.watcher
	delete(w.activities, a.watchID)
	if len(w.activities) == 0 && watching.current == w {
		watching.current = nil
		w.watch.Close() // ends the goroutine
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
	// os.NewFile adds only a non-blocking descriptor to the poller. Nothing is ever read from this one.
	syscall.SetNonblock(fd, true)
	return &watcher{watch: watch, file: os.NewFile(uintptr(fd), "temporal-heartbeat watch"), activities: map[uint64]*Activity{}}, nil
}

// add adds an activity. The caller holds watching.mu.
func (w *watcher) add(a *Activity) *abi.Error {
	watching.lastID++
	if err := w.watch.Add(a.handle, watching.lastID); err != nil {
		return err
	}
	a.watcher, a.watchID = w, watching.lastID
	w.activities[a.watchID] = a
	return nil
}

// run delivers changes until the watch is closed.
func (w *watcher) run() {
	defer w.file.Close()
	connection, err := w.file.SyscallConn()
	if err != nil {
		w.cancelAll(localError("watch", StatusInternal, err.Error(), err))
		return
	}
	err = connection.Read(func(uintptr) (closed bool) { return w.deliver() })
	if err != nil {
		w.cancelAll(localError("watch", StatusInternal, err.Error(), err))
	}
}

// deliver delivers all changes of the watch.
func (w *watcher) deliver() (closed bool) {
	for {
		change, ok, err := w.watch.Next()
		if err != nil { // only Disconnect closes the watch of open activities
			w.cancelAll(localError("watch", StatusNotConnected, "the client was disconnected, which closed the activity", newError("watch", err)))
			return true
		}
		if !ok {
			return false
		}
		watching.mu.Lock()
		a := w.activities[change.UserData]
		watching.mu.Unlock()
		if a != nil {
			a.writeStacks(Signals(change.Signals))
			a.cancelOnSignals(Signals(change.Signals))
			a.wakeWaiters()
		}
	}
}

// cancelAll cancels the contexts of all activities, since no further changes are delivered to them.
func (w *watcher) cancelAll(cause error) {
	watching.mu.Lock()
	if watching.current == w {
		watching.current = nil
	}
	activities := w.activities
	w.activities = nil
	w.watch.Close() // fails if the watch is closed already
	watching.mu.Unlock()
	for _, a := range activities {
		a.cancel(cause)
		a.wakeWaiters()
	}
}
