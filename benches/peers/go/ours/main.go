// Command ours sends heartbeats through this project's Go binding. See ../../README.md.
package main

import (
	"context"
	"log"

	"temporal-heartbeat.dev/go/heartbeat"

	"temporal-heartbeat.dev/benches/measure"
)

func main() {
	task := measure.Asked()
	options := heartbeat.Options{HostPort: task.Address}
	if task.CA != "" {
		options.TLS = &heartbeat.TLS{ServerCACertPath: task.CA}
	}
	ctx := context.Background()
	if err := heartbeat.Connect(ctx, options); err != nil {
		log.Fatal(err)
	}
	task.Run(func(token []byte) error {
		if len(task.Details) == 0 {
			_, err := heartbeat.ClearHeartbeat(ctx, token)
			return err
		}
		_, err := heartbeat.RecordHeartbeat(ctx, token, task.Details)
		return err
	})
}
