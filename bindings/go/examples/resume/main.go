// Resume takes the task token that the parent process handed over, processes the items that no earlier attempt has done, and completes the
// activity. It sends one request for each item.
package main

import (
	"context"
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
	token, err := heartbeat.TokenFromEnv()
	if err != nil {
		return err
	}
	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		return err
	}
	defer heartbeat.Disconnect(ctx)

	details, err := heartbeat.GetDetails(ctx, token)
	if err != nil {
		return err
	}
	next := 0
	if details.Has() {
		if err := details.Get(&next); err != nil {
			return err
		}
		next++ // the details name the last item that was done
	}
	fmt.Printf("attempt %d starts at item %d\n", details.Attempt(), next)

	for ; next < items; next++ {
		time.Sleep(each) // the work
		signals, err := heartbeat.RecordHeartbeat(ctx, token, next)
		for err == nil && signals == heartbeat.SignalPaused { // without heartbeats the activity would time out
			time.Sleep(500 * time.Millisecond)
			signals, err = heartbeat.RecordHeartbeat(ctx, token, next)
		}
		if err != nil {
			return err // ErrNotFound: the activity is over for this attempt
		}
		if signals.CancelRequested() {
			return heartbeat.ReportCancelled(ctx, token, next)
		}
		fmt.Printf("item %d done\n", next)
	}
	return heartbeat.Complete(ctx, token, items)
}
