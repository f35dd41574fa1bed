// Track iterates over the items of the activity that the parent process handed over. If the program is killed, the next attempt resumes
// after the last item.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"temporal-heartbeat.dev/go/heartbeat"
)

func main() {
	items := flag.Int("items", 20, "how many `items` there are")
	flag.Parse()
	if err := run(context.Background(), *items); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, items int) error {
	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		return err
	}
	defer heartbeat.Disconnect(ctx)
	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{})
	if err != nil {
		return err
	}
	defer act.Close(ctx)

	err = work(ctx, act, items)
	switch {
	case err == nil:
		return act.Complete(ctx, items)
	case errors.Is(err, heartbeat.ErrCancelRequested):
		return act.ReportCancelled(ctx)
	case errors.Is(err, heartbeat.ErrNotFound), errors.Is(err, heartbeat.ErrLeaseLost):
		return err // another attempt has started or will start: this one can't end the activity
	default:
		return errors.Join(err, act.Fail(ctx, err))
	}
}

func work(ctx context.Context, act *heartbeat.Activity, items int) error {
	for item, err := range heartbeat.TrackN(ctx, act, items, heartbeat.TrackOptions{}) {
		if err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond) // the work
		fmt.Printf("go: item %d done\n", item)
	}
	return nil
}
