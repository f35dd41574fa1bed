// Command worker is an activity worker of the official Go SDK whose activities do nothing. Prints one line of JSON when it has
// done all tasks. See ../../README.md.
//
//	worker ADDRESS TASK_QUEUE TASKS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"temporal-heartbeat.dev/benches/measure"
)

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

func main() {
	tasks, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Dial(client.Options{HostPort: os.Args[1], Logger: quiet{}})
	if err != nil {
		log.Fatal(err)
	}
	began := time.Now()
	done, all := atomic.Int64{}, make(chan any)
	w := worker.New(c, os.Args[2], worker.Options{DisableWorkflowWorker: true})
	w.RegisterActivityWithOptions(func(context.Context) error {
		if done.Add(1) == tasks {
			close(all)
		}
		return nil
	}, activity.RegisterOptions{Name: "no_op"})
	if err := w.Start(); err != nil {
		log.Fatal(err)
	}
	<-all
	seconds := time.Since(began).Seconds()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	cpu := float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
	fmt.Printf("{\"tasks\": %d, \"seconds\": %.3f, \"cpu_s\": %.3f, \"rss_mb\": %.1f}\n", tasks, seconds, cpu, measure.PeakMemoryMB())
}
