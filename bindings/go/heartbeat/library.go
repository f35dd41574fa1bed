package heartbeat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"temporal-heartbeat.dev/go/internal/abi"
)

// LibraryVariable names the environment variable that holds the path of the native library. While it is set, the library is
// looked for nowhere else.
const LibraryVariable = "TEMPORAL_HEARTBEAT_LIBRARY"

// LibraryError says why the native library couldn't be loaded. It is [ErrABIMismatch] when a library was found that is of another
// ABI version.
type LibraryError struct {
	// Tried has an error for each place that was looked in, in that order: the place, and what was wrong there.
	Tried []error
}

// Error lists the places, one a line, and says what helps.
func (e *LibraryError) Error() string {
	var b strings.Builder
	b.WriteString("temporal-heartbeat: the native library can't be loaded:")
	for _, err := range e.Tried {
		b.WriteString("\n\t" + err.Error())
	}
	b.WriteString("\n(set " + LibraryVariable + " to its path, put it beside the executable, or install it where the system's loader looks)")
	return b.String()
}

// Unwrap gives the errors of the places.
func (e *LibraryError) Unwrap() []error {
	return e.Tried
}

// Version gives the version of the native library, which it loads if that hasn't been done yet.
func Version() (string, error) {
	if err := load(); err != nil {
		return "", err
	}
	return abi.Version(), nil
}

var library struct {
	loaded atomic.Bool
	mu     sync.Mutex // held while loading
}

// load opens the library unless it is open. What failed is tried again the next time: the cause may be gone by then.
func load() error {
	if library.loaded.Load() {
		return nil
	}
	library.mu.Lock()
	defer library.mu.Unlock()
	if library.loaded.Load() {
		return nil
	}
	failure := new(LibraryError)
	for _, place := range places() {
		err := place.open()
		if err == nil {
			library.loaded.Store(true)
			return nil
		}
		failure.Tried = append(failure.Tried, err)
	}
	return failure
}

// place is where the library may be.
type place struct {
	what string // in words, for an error
	path string // for the dynamic linker
	err  error  // why there is no path
}

func (p place) open() error {
	if p.err != nil {
		return fmt.Errorf("%s: %w", p.what, p.err)
	}
	failure := abi.Open(p.path)
	if failure == nil {
		return nil
	}
	err := errors.New(strings.TrimPrefix(failure.Message, p.path+": "))
	if Status(failure.Status) == StatusABIMismatch {
		err = fmt.Errorf("%w: %w", ErrABIMismatch, err)
	} else if other := builtForAnother(p.path); other != "" {
		err = fmt.Errorf("%w (%s)", err, other)
	}
	return fmt.Errorf("%s: %s: %w", p.what, p.path, err)
}

// places lists where to look, best first.
func places() []place {
	if abi.Linked {
		return []place{{what: "the library that is linked"}}
	}
	if path := os.Getenv(LibraryVariable); path != "" {
		return []place{{what: LibraryVariable, path: path}}
	}
	var all []place
	const beside = "beside the executable"
	if executable, err := os.Executable(); err != nil {
		all = append(all, place{what: beside, err: err})
	} else {
		for _, name := range libraryNames() {
			all = append(all, place{what: beside, path: filepath.Join(filepath.Dir(executable), name)})
		}
	}
	for _, name := range libraryNames() {
		all = append(all, place{what: "the system's loader", path: name})
	}
	return all
}

// libraryNames are the file's names: with the ABI's major version, as an installed library has it, and without.
func libraryNames() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libtemporal_heartbeat.0.dylib", "libtemporal_heartbeat.dylib"}
	}
	return []string{"libtemporal_heartbeat.so.0", "libtemporal_heartbeat.so"}
}
