// Activity opens the activity that the parent process handed over, processes the items that no earlier attempt has done, and completes
// the activity. The library heartbeats in the background, so that an item may take any time, and cancels the context of the work.
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
	each := flag.Duration("each", 100*time.Millisecond, "the `time` that one item takes")
	flag.Parse()
	if err := run(context.Background(), *items, *each); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, items int, each time.Duration) error {
	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		return err
	}
	defer heartbeat.Disconnect(ctx)
	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{})
	if err != nil {
		return err
	}
	defer act.Close(ctx)

	err = work(act, items, each)
	switch cause := context.Cause(act.Context()); {
	case err == nil:
		return act.Complete(ctx, items)
	case errors.Is(cause, heartbeat.ErrCancelRequested):
		return act.ReportCancelled(ctx)
	case errors.Is(cause, heartbeat.ErrNotFound), errors.Is(cause, heartbeat.ErrLeaseLost):
		return err // another attempt has started or will start: this one can't end the activity
	default:
		return errors.Join(err, act.Fail(ctx, err))
	}
}

func work(act *heartbeat.Activity, items int, each time.Duration) error {
	next := 0
	if act.HasHeartbeatDetails() {
		if err := act.GetHeartbeatDetails(&next); err != nil {
			return err
		}
		next++ // the details name the last item that was done
	}
	fmt.Printf("starting at item %d\n", next)

	for ; next < items; next++ {
		if err := do(act.Context(), each); err != nil {
			return err
		}
		if _, err := act.RecordHeartbeat(next); err != nil {
			return err
		}
		fmt.Printf("item %d done\n", next)
		if _, err := act.WaitWhilePaused(act.Context()); err != nil {
			return err
		}
	}
	return nil
}

// do works on one item, and stops when its context ends.
func do(ctx context.Context, each time.Duration) error {
	select {
	case <-time.After(each):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
