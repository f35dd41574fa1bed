// The worker of the official Go SDK. README.md in the peers folder describes it.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"temporal-heartbeat.dev/go/tests/interop/cipher"
)

func main() {
	address, namespace, taskQueue := os.Args[1], os.Args[2], os.Args[3]
	// The standard output is only for reports.
	logger := log.NewStructuredLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})))
	plain, err := client.Dial(client.Options{HostPort: address, Namespace: namespace, Logger: logger})
	must(err)
	defer plain.Close()
	codec := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), cipher.Cipher{})
	encrypting, err := client.NewClientFromExisting(plain, client.Options{
		Namespace:     namespace,
		Logger:        logger,
		DataConverter: codec,
		// Failures have a separate converter, which must be configured too.
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{DataConverter: codec}),
	})
	must(err)
	defer encrypting.Close()

	defer start(plain, taskQueue).Stop()
	defer start(encrypting, taskQueue+"-encrypted").Stop()
	printLine(map[string]any{"ready": true})
	_, err = io.ReadAll(os.Stdin)
	must(err)
}

func start(c client.Client, taskQueue string) worker.Worker {
	w := worker.New(c, taskQueue, worker.Options{})
	w.RegisterActivityWithOptions(interopActivity, activity.RegisterOptions{Name: "interop"})
	w.RegisterWorkflowWithOptions(interopWorkflow, workflow.RegisterOptions{Name: "Interop"})
	must(w.Start())
	return w
}

func printLine(value any) {
	line, err := json.Marshal(value)
	must(err)
	fmt.Println(string(line)) // one write, so that lines of different goroutines don't mix
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
