package heartbeat

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"temporal-heartbeat.dev/go/internal/abi"
)

const headerCopy = "../internal/abi/temporal_heartbeat.h"

func TestStatusesAreThoseOfTheHeader(t *testing.T) {
	// The enumerators of enum thb_status: all but those with a longer prefix.
	seen := 0
	found := enumerators(t, `THB_[A-Z_]+`)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if regexp.MustCompile(`^THB_(ENCODING|SIGNAL)_`).MatchString(name) {
			continue
		}
		seen++
		if got := Status(found[name]).String(); got != name {
			t.Errorf("status %d is %s in Go and %s in C", found[name], got, name)
		}
	}
	if seen != len(statusNames) {
		t.Errorf("%d statuses in C, %d in Go", seen, len(statusNames))
	}
}

func TestStatusesAreThoseOfTheLibrary(t *testing.T) {
	needLibrary(t)
	if err := loadLibrary(); err != nil {
		t.Fatal(err)
	}
	for number, name := range statusNames {
		if got := abi.StatusName(int32(number)); got != name {
			t.Errorf("status %d is %s in Go and %s in the library", number, name, got)
		}
	}
}

func readHeader(t *testing.T) []byte {
	t.Helper()
	header, err := os.ReadFile(headerCopy)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

// enumerators returns the enumerators of the header whose name matches a regular expression.
func enumerators(t *testing.T, name string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, m := range regexp.MustCompile(`\b(`+name+`) = (\d+)\b`).FindAllSubmatch(readHeader(t), -1) {
		number, err := strconv.Atoi(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		found[string(m[1])] = number
	}
	return found
}

func TestSignalsAreThoseOfTheHeader(t *testing.T) {
	inC := enumerators(t, `THB_SIGNAL_[A-Z_]+`)
	if len(inC) != len(signalTexts) {
		t.Errorf("%d signals in C, %d in Go", len(inC), len(signalTexts))
	}
	for _, s := range signalTexts {
		if got := inC["THB_SIGNAL_"+s.name]; Signals(got) != s.signal {
			t.Errorf("%s is %d in Go and %d in C", s.name, s.signal, got)
		}
	}
}
