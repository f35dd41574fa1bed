// Does the work of a Temporal Activity in Go.
//
//	resume_go ITEMS FILE
//
// Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. After each item,
// writes one line to FILE and sends one heartbeat. If the process is killed, the Activity's next attempt resumes after the
// last item that the server has, in this or any other language.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"temporal-heartbeat.dev/go/heartbeat"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: resume_go ITEMS FILE")
	}
	items, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.OpenFile(os.Args[2], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	err = work(context.Background(), items, file)
	if errors.Is(err, heartbeat.ErrNotFound) { // the attempt is over, so the work stops
		log.Print(err)
	} else if err != nil {
		log.Fatal(err)
	}
}

func work(ctx context.Context, items int, file *os.File) error {
	token, err := heartbeat.TokenFromEnv()
	if err != nil {
		return err
	}
	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		return err
	}
	details, err := heartbeat.GetDetails(ctx, token)
	if err != nil {
		return err
	}
	last := 0
	if details.Has() {
		if err := details.Get(&last); err != nil {
			return err
		}
	}
	fmt.Printf("attempt %d resumes after item %d\n", details.Attempt(), last)

	for item := last + 1; item <= items; item++ {
		time.Sleep(100 * time.Millisecond) // the work
		if _, err := fmt.Fprintln(file, details.Attempt(), "go", item); err != nil {
			return err
		}
		signals, err := beat(ctx, token, item)
		if err != nil {
			return err
		}
		if signals.CancelRequested() {
			return heartbeat.ReportCancelled(ctx, token)
		}
		if signals.Reset() { // ending this attempt starts the next one immediately
			return heartbeat.Fail(ctx, token, heartbeat.Failure{Message: "stopped for the reset"})
		}
	}
	return heartbeat.Complete(ctx, token, items)
}

// beat sends a heartbeat. While the activity is paused, it repeats the heartbeat, because silence would end the attempt.
func beat(ctx context.Context, token []byte, item int) (heartbeat.Signals, error) {
	for {
		signals, err := heartbeat.RecordHeartbeat(ctx, token, item)
		stop := signals.CancelRequested() || signals.Reset()
		if err != nil || stop || !signals.Paused() {
			return signals, err
		}
		time.Sleep(500 * time.Millisecond)
	}
}
