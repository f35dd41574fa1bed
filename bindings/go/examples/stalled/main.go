// Stalled hangs at its third item: it waits for a result that no goroutine sends. The attempt then fails, and the failure in the workflow
// shows the line, because StallAction is "fail" and StallStacks is set.
package main

import (
	"context"
	"log"
	"time"

	"temporal-heartbeat.dev/go/heartbeat"
)

func main() {
	ctx := context.Background()
	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		log.Fatal(err)
	}
	defer heartbeat.Disconnect(ctx)
	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{
		StallTimeout: 500 * time.Millisecond, // in earnest: minutes
		StallAction:  "fail",
		StallStacks:  true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer act.Close(ctx)
	results := make(chan int, 2)
	results <- 1
	results <- 2
	for item := range 100 {
		if err := act.SetStatus("waits for the result of an item"); err != nil {
			log.Fatal(err)
		}
		receiveResult(results)
		if _, err := act.RecordHeartbeat(item); err != nil {
			log.Fatal(err)
		}
	}
}

// receiveResult hangs if there is no result.
func receiveResult(results <-chan int) int {
	return <-results
}
