package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// loadOnly makes this program load the library and print how that went, instead of testing. The library stays loaded once it is,
// so that each scenario of loading needs a process of its own.
const loadOnly = "THB_TEST_LOAD_ONLY"

func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		// What the caller's shell has for Temporal is not for these tests.
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "TEMPORAL_") && name != LibraryVariable {
			os.Unsetenv(name)
		}
	}
	os.Setenv("XDG_CONFIG_HOME", "/nonexistent")
	if os.Getenv(loadOnly) == "" {
		os.Exit(m.Run())
	}
	err := Connect(context.Background(), Options{Lazy: true})
	var missing *LibraryError
	fmt.Printf("library error: %t\nABI mismatch: %t\n%v\n", errors.As(err, &missing), errors.Is(err, ErrABIMismatch), err)
}
