// Parent is a worker. Its activity hands itself over to `temporal-heartbeat exec`, which runs a command as the activity's work.
//
//	parent ADDRESS TASK_QUEUE COMMAND ARGUMENT...
//
// The worker passes the token in a file that only its user can read, and removes the file when exec has ended.
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"os/exec"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

func main() {
	address, queue, command := os.Args[1], os.Args[2], os.Args[3:]
	c, err := client.Dial(client.Options{HostPort: address})
	if err != nil {
		log.Fatal(err)
	}
	run := func(ctx context.Context) (string, error) {
		if err := start(activity.GetInfo(ctx).TaskToken, address, command); err != nil {
			return "", err
		}
		return "", activity.ErrResultPending // exec completes it
	}
	w := worker.New(c, queue, worker.Options{DisableWorkflowWorker: true})
	w.RegisterActivityWithOptions(run, activity.RegisterOptions{Name: "run"})
	if err := w.Run(worker.InterruptCh()); err != nil {
		log.Fatal(err)
	}
}

func start(token []byte, address string, command []string) error {
	file, err := os.CreateTemp("", "token-*") // CreateTemp makes it readable only by this user
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.WriteString(base64.StdEncoding.EncodeToString(token)); err != nil {
		os.Remove(file.Name())
		return err
	}
	flags := []string{"exec", "--token-file", file.Name(), "--progress-json", "--result", "output", "--"}
	child := exec.Command("temporal-heartbeat", append(flags, command...)...)
	child.Env = append(os.Environ(), "TEMPORAL_ADDRESS="+address)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		os.Remove(file.Name())
		return err
	}
	fmt.Println("exec", child.Process.Pid)
	go func() {
		child.Wait()
		fmt.Printf("exec %d exited with %v\n", child.Process.Pid, child.ProcessState)
		os.Remove(file.Name())
	}()
	return nil
}
