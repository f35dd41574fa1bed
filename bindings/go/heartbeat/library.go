package heartbeat

import (
	"debug/elf"
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

// LibraryVariable is the environment variable with the path of the native library. While it is set, no other path is tried.
const LibraryVariable = "TEMPORAL_HEARTBEAT_LIBRARY"

// LibraryError says why the native library couldn't be loaded. It is [ErrABIMismatch] if a library with another ABI version was found.
type LibraryError struct {
	// Tried has the error of each path that was tried, in that order.
	Tried []error
}

// Error lists the paths, one a line, and says what to do.
func (e *LibraryError) Error() string {
	var b strings.Builder
	b.WriteString("temporal-heartbeat: the native library can't be loaded:")
	for _, err := range e.Tried {
		b.WriteString("\n\t" + err.Error())
	}
	b.WriteString("\n(set " + LibraryVariable + " to its path, put it beside the executable, or install it where the system's loader searches)")
	return b.String()
}

// Unwrap returns the errors of the paths.
func (e *LibraryError) Unwrap() []error {
	return e.Tried
}

// Version returns the version of the native library, and loads it if necessary.
func Version() (string, error) {
	if err := loadLibrary(); err != nil {
		return "", err
	}
	return abi.Version(), nil
}

var loader struct {
	loaded atomic.Bool
	mu     sync.Mutex // held while loading
}

// loadLibrary opens the library unless it is open. After an error the next call tries again.
func loadLibrary() error {
	if loader.loaded.Load() {
		return nil
	}
	loader.mu.Lock()
	defer loader.mu.Unlock()
	if loader.loaded.Load() {
		return nil
	}
	failure := new(LibraryError)
	for _, candidate := range candidates() {
		err := candidate.open()
		if err == nil {
			loader.loaded.Store(true)
			return nil
		}
		failure.Tried = append(failure.Tried, err)
	}
	return failure
}

// candidate is a path at which the library may be.
type candidate struct {
	source string // the origin of the path, for an error
	path   string // for dlopen; empty: the linked library
	err    error  // why there is no path
}

func (c candidate) open() error {
	if c.err != nil {
		return fmt.Errorf("%s: %w", c.source, c.err)
	}
	failure := abi.Open(c.path)
	if failure == nil {
		return nil
	}
	err := errors.New(strings.TrimPrefix(failure.Message, c.path+": "))
	if Status(failure.Status) == StatusABIMismatch {
		err = fmt.Errorf("%w: %w", ErrABIMismatch, err)
	} else if mismatch := machineMismatch(c.path); mismatch != "" {
		err = fmt.Errorf("%w (%s)", err, mismatch)
	}
	return fmt.Errorf("%s: %s: %w", c.source, c.path, err)
}

// machineMismatch describes the machines that an ELF library and this program are built for, if they differ; otherwise it returns "". The
// loader reports such a library as not found.
func machineMismatch(path string) string {
	machine := func(path string) string {
		file, err := elf.Open(path)
		if err != nil {
			return ""
		}
		defer file.Close()
		return fmt.Sprintf("%v %v", file.Machine, file.Class)
	}
	executable, _ := os.Executable()
	theirs, ours := machine(path), machine(executable)
	if theirs == "" || ours == "" || theirs == ours {
		return ""
	}
	return fmt.Sprintf("it is built for %s, and this program for %s", theirs, ours)
}

// candidates returns the paths to try, in that order.
func candidates() []candidate {
	if path := os.Getenv(LibraryVariable); path != "" && abi.Loads {
		return []candidate{{source: LibraryVariable, path: path}}
	}
	if abi.Linked() {
		return []candidate{{source: "the linked library"}}
	}
	var found []candidate
	const besideExecutable = "beside the executable"
	if executable, err := os.Executable(); err != nil {
		found = append(found, candidate{source: besideExecutable, err: err})
	} else {
		for _, name := range libraryNames() {
			found = append(found, candidate{source: besideExecutable, path: filepath.Join(filepath.Dir(executable), name)})
		}
	}
	for _, name := range libraryNames() {
		found = append(found, candidate{source: "the system's loader", path: name})
	}
	return found
}

// libraryNames returns the names of the file: the installed name, which has the major version of the ABI, and the name without it.
func libraryNames() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libtemporal_heartbeat.0.dylib", "libtemporal_heartbeat.dylib"}
	}
	return []string{"libtemporal_heartbeat.so.0", "libtemporal_heartbeat.so"}
}
