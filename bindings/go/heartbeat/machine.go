package heartbeat

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// machine is for which processor a file in ELF was built: its width in bits, its number.
type machine struct {
	width  int
	number uint16
}

// builtForAnother says so if the file is a library for another processor than this program's, and otherwise nothing. The loader only
// says that it found no such file.
func builtForAnother(path string) string {
	executable, err := os.Executable()
	if err != nil {
		return ""
	}
	theirs, ok := readMachine(path)
	ours, sure := readMachine(executable)
	if !ok || !sure || theirs == ours {
		return ""
	}
	return fmt.Sprintf("it is built for %v, and this program for %v", theirs, ours)
}

func readMachine(path string) (machine, bool) {
	file, err := os.Open(path)
	if err != nil {
		return machine{}, false
	}
	defer file.Close()
	// The mark of ELF, the width, ..., and at 18 the processor.
	var start [20]byte
	if _, err := io.ReadFull(file, start[:]); err != nil || string(start[:4]) != "\x7fELF" {
		return machine{}, false
	}
	return machine{width: 32 * int(start[4]), number: binary.NativeEndian.Uint16(start[18:])}, true
}

func (m machine) String() string {
	names := map[uint16]string{3: "x86", 40: "arm", 62: "x86-64", 183: "arm64", 243: "riscv"}
	if name, ok := names[m.number]; ok {
		return fmt.Sprintf("%s of %d bits", name, m.width)
	}
	return fmt.Sprintf("processor %d of %d bits", m.number, m.width)
}
