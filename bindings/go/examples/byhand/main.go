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

	for item, err := range heartbeat.TrackN(ctx, act, items, heartbeat.TrackOptions{}) {
		if err != nil {
			return err
		}
		fmt.Println("item", item) // the work
	}
	return act.Complete(ctx, items)
}
