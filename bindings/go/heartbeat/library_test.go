package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runLoader runs a copy of this program with an environment, in a directory that has only the given files.
func runLoader(t *testing.T, beside map[string]string, environment ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	copyFile(t, self, filepath.Join(directory, "program"))
	for name, from := range beside {
		copyFile(t, from, filepath.Join(directory, name))
	}
	program := exec.Command(filepath.Join(directory, "program"))
	program.Env = append([]string{loadOnlyVariable + "=1", "HOME=" + directory}, environment...)
	out, err := program.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.ReplaceAll(string(out), directory, "DIR")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o700); err != nil {
		t.Fatal(err)
	}
}

func wantContains(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("the output lacks %q:\n%s", part, out)
		}
	}
}

func TestErrorListsThePathsOfAMissingLibrary(t *testing.T) {
	out := runLoader(t, nil)
	wantContains(t, out, "library error: true", "ABI mismatch: false")
	for _, name := range libraryNames() {
		wantContains(t, out,
			"beside the executable: DIR/"+name+": cannot open shared object file: No such file or directory",
			"the system's loader: "+name+": cannot open shared object file: No such file or directory")
	}
}

func TestVariableIsTheOnlyPathWhileItIsSet(t *testing.T) {
	out := runLoader(t, nil, LibraryVariable+"=/nowhere/lib.so")
	wantContains(t, out, "library error: true", LibraryVariable+": /nowhere/lib.so: cannot open shared object file")
	if strings.Contains(out, "beside the executable:") {
		t.Error(out)
	}
}

func TestErrorNamesAFileThatIsNoLibrary(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantContains(t, runLoader(t, nil, LibraryVariable+"="+empty), "library error: true", "file too short")
}

func TestErrorNamesTheMachineOfTheLibrary(t *testing.T) {
	needLibrary(t)
	data, err := os.ReadFile(os.Getenv(LibraryVariable))
	if err != nil {
		t.Fatal(err)
	}
	data[18] ^= 0x80
	foreign := filepath.Join(t.TempDir(), "foreign.so")
	if err := os.WriteFile(foreign, data, 0o600); err != nil {
		t.Fatal(err)
	}
	wantContains(t, runLoader(t, nil, LibraryVariable+"="+foreign), "library error: true", "it is built for ", ", and this program for ")
}

func TestErrorNamesWhatTheLibraryLacks(t *testing.T) {
	const abi9 = "unsigned thb_abi_version(void) { return 9 << 16 | 5; } int thb_check_abi(unsigned abi) { return abi ? 25 : 0; }"
	const anyABI = "unsigned thb_abi_version(void) { return 1; } int thb_check_abi(unsigned abi) { return abi * 0; }"
	for _, c := range []struct {
		name   string
		source string
		want   []string
	}{
		{"another library", "int x;", []string{"it is not the temporal-heartbeat library: it has no thb_check_abi"}},
		{"another ABI", abi9, []string{"ABI mismatch: true", "it has ABI version 9.5, this program was built for 0."}},
		{"a function missing", anyABI, []string{"ABI mismatch: false", "it has no function thb_connect"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := runLoader(t, nil, LibraryVariable+"="+compile(t, c.source))
			wantContains(t, out, "library error: true")
			wantContains(t, out, c.want...)
		})
	}
}

// compile compiles C source to a shared library, with the compiler of cgo.
func compile(t *testing.T, source string) string {
	t.Helper()
	compiler, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		t.Fatal(err)
	}
	library := filepath.Join(t.TempDir(), "lib.so")
	build := exec.Command(strings.TrimSpace(string(compiler)), "-shared", "-fPIC", "-x", "c", "-o", library, "-")
	build.Stdin = strings.NewReader(source)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return library
}

func TestLibraryBesideTheExecutableIsFound(t *testing.T) {
	needLibrary(t)
	for _, name := range libraryNames() {
		out := runLoader(t, map[string]string{name: os.Getenv(LibraryVariable)})
		wantContains(t, out, "library error: false", "<nil>")
	}
}

func TestVersionIsThatOfTheLibrary(t *testing.T) {
	needLibrary(t)
	if version, err := Version(); err != nil || strings.Count(version, ".") < 2 {
		t.Errorf("%q, %v", version, err)
	}
}

// loadOnlyVariable makes this program load the library and print the result, instead of testing. A library can't be unloaded, so each
// test of loading needs a separate process.
const loadOnlyVariable = "THB_TEST_LOAD_ONLY"

func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		// The tests must not depend on the variables of the caller's shell.
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "TEMPORAL_") && name != LibraryVariable {
			os.Unsetenv(name)
		}
	}
	os.Setenv("XDG_CONFIG_HOME", "/nonexistent")
	if os.Getenv(loadOnlyVariable) == "" {
		os.Exit(m.Run())
	}
	err := Connect(context.Background(), Options{Lazy: true})
	var missing *LibraryError
	fmt.Printf("library error: %t\nABI mismatch: %t\n%v\n", errors.As(err, &missing), errors.Is(err, ErrABIMismatch), err)
}
