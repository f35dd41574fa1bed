package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	files, err := generate("../../..")
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("THB_REQUIRE_ALL") != "1" {
		t.Skip("SKIPPED: needs the whole repository: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if got, err := os.ReadFile(file.path); err != nil || !bytes.Equal(got, file.content) {
			t.Errorf("%s is stale: run `make header` (%v)", file.path, err)
		}
	}
}

func TestFunctionTableHasResultNameParametersAndArguments(t *testing.T) {
	got, err := functionTable(`/* thb_no_function() */
typedef uint64_t thb_handle_t;
const char *thb_version(void);
thb_status_t thb_open(const void *token,
                      size_t token_len, struct thb_error_t **error_out);
`)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(got, "(X)")
	want := ` \
    X(const char *, thb_version, (void), ()) \
    X(thb_status_t, thb_open, (const void *token, size_t token_len, struct thb_error_t **error_out), (token, token_len, error_out))
`
	if table != want {
		t.Errorf("got %s\nwant %s", table, want)
	}
}

func TestPrototypeThatIsNotUnderstoodIsAnError(t *testing.T) {
	if table, err := functionTable("void thb_call(void (*callback)(void));\n"); err == nil {
		t.Errorf("no error, and the table %s", table)
	}
}
