// Follow waits until its activity is cancelled, and prints the reason. With the option FollowServer it notices that at once, not with
// the next heartbeat.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"temporal-heartbeat.dev/go/heartbeat"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		return err
	}
	defer heartbeat.Disconnect(ctx)
	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{FollowServer: true})
	if err != nil {
		return err
	}
	defer act.Close(ctx)

	fmt.Println("waiting")
	<-act.Context().Done() // the work takes this context
	var stop *heartbeat.StopError
	if cause := context.Cause(act.Context()); !errors.As(cause, &stop) || stop.Signal != heartbeat.SignalCancelRequested {
		return cause
	}
	fmt.Println("cancelled:", stop.Reason)
	return act.ReportCancelled(ctx)
}
