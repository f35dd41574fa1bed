// Parent is a worker of the SDK with one activity, which starts a child, hands the activity over to it, and prints the child's process id.
//
//	parent ADDRESS TASK_QUEUE environment|file|pipe DIRECTORY CHILD ARGUMENT...
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/proto"

	"temporal-heartbeat.dev/go/handoff"
)

func main() {
	address, queue, way, directory, command := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]
	c, err := client.Dial(client.Options{HostPort: address})
	if err != nil {
		log.Fatal(err)
	}
	w := worker.New(c, queue, worker.Options{DisableWorkflowWorker: true})
	solve := func(ctx context.Context) (int, error) {
		child := exec.Command(command[0], command[1:]...)
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if err := handOver(ctx, child, address, way, filepath.Join(directory, "token")); err != nil {
			return 0, err
		}
		fmt.Println("child", child.Process.Pid, "of attempt", activity.GetInfo(ctx).Attempt)
		go func() {
			child.Wait()
			fmt.Println("child", child.Process.Pid, child.ProcessState)
		}()
		return 0, activity.ErrResultPending // the child completes it
	}
	w.RegisterActivityWithOptions(solve, activity.RegisterOptions{Name: "solve"})
	if err := w.Run(worker.InterruptCh()); err != nil {
		log.Fatal(err)
	}
}

func handOver(ctx context.Context, child *exec.Cmd, address, way, tokenFile string) (err error) {
	a := handoff.From(activity.GetInfo(ctx))
	a.Address = address
	if a.HeartbeatDetails, err = details(ctx); err != nil {
		return err
	}
	switch way {
	case "environment":
		child.Env, err = handoff.Environ(os.Environ(), a)
	case "file":
		child.Env, err = handoff.EnvironWithFile(os.Environ(), a, tokenFile)
	case "pipe":
		var release func()
		if release, err = handoff.Prepare(child, a); err == nil {
			defer release()
		}
	default:
		log.Fatal("the way of the token: ", way)
	}
	if err != nil {
		return err
	}
	return child.Start()
}

// details returns the details of the previous attempt: one value of any type.
func details(ctx context.Context) ([]byte, error) {
	if !activity.HasHeartbeatDetails(ctx) {
		return []byte{}, nil
	}
	var value converter.RawValue
	if err := activity.GetHeartbeatDetails(ctx, &value); err != nil {
		return nil, err
	}
	return proto.Marshal(&commonpb.Payloads{Payloads: []*commonpb.Payload{value.Payload()}})
}
