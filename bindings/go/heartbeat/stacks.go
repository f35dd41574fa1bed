package heartbeat

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
)

// maxStackBytes is the longest text of stacks that the library keeps. It fits into a pipe.
const maxStackBytes = 32 << 10

// maxDumpBytes bounds the memory for the stacks of all goroutines.
const maxDumpBytes = 8 << 20

// stackPipe transfers the goroutines' stacks to the library, which reads them at a stall.
type stackPipe struct {
	reader, writer *os.File
	culprit        atomic.Pointer[[]byte] // the header of the goroutine that is shown first, up to its number
}

// stackPipes are the pipes that no activity uses. They are never closed: the library may still read from one.
var stackPipes struct {
	mu   sync.Mutex
	free []*stackPipe
}

// newStackPipe returns an empty pipe. The goroutine that calls it is shown first.
func newStackPipe() (*stackPipe, error) {
	stackPipes.mu.Lock()
	defer stackPipes.mu.Unlock()
	if last := len(stackPipes.free) - 1; last >= 0 {
		p := stackPipes.free[last]
		stackPipes.free = stackPipes.free[:last]
		p.empty()
		p.blame()
		return p, nil
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &stackPipe{reader: reader, writer: writer}
	p.blame()
	return p, nil
}

// free makes the pipe available to other activities.
func (p *stackPipe) free() {
	stackPipes.mu.Lock()
	defer stackPipes.mu.Unlock()
	stackPipes.free = append(stackPipes.free, p)
}

// descriptor returns the read end. It stays non-blocking, and open as long as the process.
func (p *stackPipe) descriptor() (fd int32) {
	if connection, err := p.reader.SyscallConn(); err == nil {
		connection.Control(func(number uintptr) { fd = int32(number) })
	}
	return fd
}

// blame has the stack of the calling goroutine shown first.
func (p *stackPipe) blame() {
	buffer := make([]byte, 64)
	header := buffer[:runtime.Stack(buffer, false)]
	if end := bytes.IndexByte(header, '['); end > 0 {
		header = header[:end] // "goroutine 18 "
		p.culprit.Store(&header)
	}
}

// empty reads what the library hasn't read.
func (p *stackPipe) empty() {
	connection, err := p.reader.SyscallConn()
	if err != nil {
		return
	}
	buffer := make([]byte, maxStackBytes)
	connection.Read(func(fd uintptr) bool {
		for {
			if n, err := syscall.Read(int(fd), buffer); n <= 0 || err != nil {
				return true
			}
		}
	})
}

// write writes the stacks of all goroutines, except the calling one.
func (p *stackPipe) write() {
	text := arrangeStacks(goroutineStacks(), *p.culprit.Load())
	connection, err := p.writer.SyscallConn()
	if err != nil {
		return
	}
	connection.Write(func(fd uintptr) bool {
		syscall.Write(int(fd), append(text, 0)) // fails if the library hasn't read the last text
		return true
	})
}

// goroutineStacks returns the stacks of all goroutines, that of the calling one first.
func goroutineStacks() []byte {
	for size := 64 << 10; ; size *= 2 {
		buffer := make([]byte, size)
		if n := runtime.Stack(buffer, true); n < size || size >= maxDumpBytes {
			return buffer[:n]
		}
	}
}

// arrangeStacks moves the culprit to the front, removes the first goroutine, which has written the text, and cuts the rest.
func arrangeStacks(text, culprit []byte) []byte {
	blocks := bytes.Split(bytes.TrimSpace(text), []byte("\n\n"))[1:]
	for i, block := range blocks {
		if len(culprit) > 0 && bytes.HasPrefix(block, culprit) {
			copy(blocks[1:i+1], blocks[:i])
			blocks[0] = block
			break
		}
	}
	arranged := bytes.Join(blocks, []byte("\n\n"))
	return arranged[:min(len(arranged), maxStackBytes)]
}

// SetStatus sets what the work is doing now, for example "loading shard 7"; at most 4 KiB. [Info] shows it, and so does the failure of a
// stall ([OpenOptions].StallAction). It is no progress: the stall timeout doesn't start again. Don't put secrets into it.
//
// With [OpenOptions].StallStacks, the stack of the goroutine that called this last comes first. It never waits, and may be called after
// the end of the activity.
//
// Errors: [ErrTooLarge], [ErrInvalidArgument] if the text isn't UTF-8, [ErrInvalidHandle] after Close.
func (a *Activity) SetStatus(text string) error {
	if a.stacks != nil {
		a.stacks.blame()
	}
	return newError("set status", a.handle.SetStatus(text))
}

// writeStacks writes the stacks at the beginning of a stall.
func (a *Activity) writeStacks(signals Signals) {
	isStalled := signals&SignalStalled != 0
	if a.stacks != nil && isStalled && !a.wasStalled {
		go a.stacks.write()
	}
	a.wasStalled = isStalled
}
