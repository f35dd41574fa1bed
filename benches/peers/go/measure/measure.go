// Package measure runs the measurements of the Go programs. See ../../README.md.
package measure

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	warmUp = 300 * time.Millisecond

	// A histogram of nanoseconds with 2^8 buckets per doubling.
	stepBits = 8
	steps    = 1 << stepBits
	buckets  = steps * 32
)

// Task has the arguments of a program.
type Task struct {
	Address string
	Tokens  [][]byte
	Callers int
	Details []byte
	Seconds time.Duration
	CA      string // a file; empty: plaintext
}

// Asked parses the task from the command line.
func Asked() Task {
	if len(os.Args) < 6 {
		log.Fatalf("usage: %s ADDRESS TOKENS CALLERS BYTES SECONDS [CA]", os.Args[0])
	}
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	task := Task{Address: os.Args[1]}
	for line := range strings.FieldsSeq(string(text)) {
		token, err := hex.DecodeString(line)
		if err != nil {
			log.Fatal(err)
		}
		task.Tokens = append(task.Tokens, token)
	}
	task.Callers, _ = strconv.Atoi(os.Args[3])
	size, _ := strconv.Atoi(os.Args[4])
	task.Details = bytes.Repeat([]byte("x"), size)
	seconds, _ := strconv.ParseFloat(os.Args[5], 64)
	task.Seconds = time.Duration(seconds * float64(time.Second))
	if len(os.Args) > 6 {
		task.CA = os.Args[6]
	}
	return task
}

// Run sends heartbeats from one goroutine per caller and prints the results. If the time is 0, each caller sends one heartbeat.
func (task Task) Run(beat func(token []byte) error) {
	var histogram [buckets]atomic.Uint32
	var measuring, ending atomic.Bool
	once := task.Seconds == 0
	var callers sync.WaitGroup
	for caller := range task.Callers {
		token := task.Tokens[caller%len(task.Tokens)]
		callers.Go(func() {
			before := time.Now()
			for more := true; more; more = !once && !ending.Load() {
				if err := beat(token); err != nil {
					log.Fatal(err)
				}
				after := time.Now()
				if measuring.Load() {
					histogram[bucket(after.Sub(before))].Add(1)
				}
				before = after
			}
		})
	}
	if once {
		callers.Wait()
		return
	}
	time.Sleep(warmUp)
	cpu, began := cpuTime(), time.Now()
	measuring.Store(true)
	time.Sleep(task.Seconds)
	measuring.Store(false)
	cpu = cpuTime() - cpu
	took := time.Since(began)
	ending.Store(true)
	callers.Wait()

	calls := uint64(0)
	for i := range histogram {
		calls += uint64(histogram[i].Load())
	}
	quantile := func(part float64) float64 {
		seen := uint64(0)
		for i := range histogram {
			if seen += uint64(histogram[i].Load()); seen > 0 && float64(seen) >= part*float64(calls) {
				return lowest(i).Seconds() * 1e6
			}
		}
		return 0
	}
	fmt.Printf(`{"calls":%d,"seconds":%f,"cpu_s":%f,"p50_us":%.2f,"p99_us":%.2f,"rss_mb":%.2f}`+"\n",
		calls, took.Seconds(), cpu.Seconds(), quantile(0.5), quantile(0.99), PeakMemoryMB())
}

func bucket(d time.Duration) int {
	octave := bits.Len64(uint64(d)|steps) - 1 - stepBits
	return min(octave*steps+int(d)>>octave, buckets-1)
}

// lowest returns the shortest time of a bucket.
func lowest(bucket int) time.Duration {
	octave := 0
	if bucket >= 2*steps {
		octave = bucket/steps - 1
	}
	return time.Duration((bucket - octave*steps) << octave)
}

func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// PeakMemoryMB returns the peak of the process's memory. It doesn't use getrusage, because its peak includes that of the parent process.
func PeakMemoryMB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		log.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		log.Fatal(err)
	}
	return kb / 1024
}
