// A worker of the official Go SDK, with the activity that docs/hand-off.md prints: the build adds its Solve.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

func main() {
	c, err := client.Dial(client.Options{HostPort: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	w := worker.New(c, os.Args[2], worker.Options{DisableWorkflowWorker: true})
	w.RegisterActivity(Solve)
	if err := w.Start(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	w.Stop()
}
