// Byhand processes the items of the activity that the parent process handed over, if there is one. It also runs by hand, without
// Temporal.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"

	"temporal-heartbeat.dev/go/heartbeat"
)

func main() {
	items := flag.Int("items", 10, "how many `items` there are")
	flag.Parse()
	if err := run(context.Background(), *items); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, items int) error {
	if err := heartbeat.Connect(ctx, heartbeat.Options{WhenAbsent: "inactive"}); err != nil {
		return err
	}
	defer heartbeat.Disconnect(ctx)
	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{WhenAbsent: "inactive"})
	if err != nil {
		return err
	}
	defer act.Close(ctx)

	next := 0
	if act.HasHeartbeatDetails() {
		if err := act.GetHeartbeatDetails(&next); err != nil {
			return err
		}
		next++ // the details name the last item that was done
	}
	for ; next < items; next++ {
		fmt.Println("item", next) // the work
		if _, err := act.RecordHeartbeat(next); err != nil {
			return err
		}
		if _, err := act.WaitWhilePaused(act.Context()); err != nil {
			return err
		}
	}
	return act.Complete(ctx, items)
}
