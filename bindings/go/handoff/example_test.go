package handoff_test

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	"temporal-heartbeat.dev/go/handoff"
)

// With the Go SDK, handoff.From(activity.GetInfo(ctx)) returns the Activity.
func ExampleEnviron() {
	env, err := handoff.Environ([]string{"HOME=/home/solver"}, handoff.Activity{
		TaskToken:        []byte("from the worker"),
		Attempt:          2,
		HeartbeatTimeout: 30 * time.Second,
		HeartbeatDetails: []byte{}, // there are none, so the child needn't ask the server
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, variable := range env {
		fmt.Println(variable)
	}
	// Output:
	// HOME=/home/solver
	// TEMPORAL_ACTIVITY_TASK_TOKEN=ZnJvbSB0aGUgd29ya2Vy
	// TEMPORAL_ACTIVITY_ATTEMPT=2
	// TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS=30000
	// TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS=
}

// The token is in a pipe, and not in the environment.
func ExamplePrepare() {
	child := exec.Command("sh", "-c", `cat <&"$TEMPORAL_ACTIVITY_TASK_TOKEN_FD"`)
	child.Stdout = os.Stdout
	release, err := handoff.Prepare(child, handoff.Activity{TaskToken: []byte("from the worker")})
	if err != nil {
		log.Fatal(err)
	}
	defer release()
	if err := child.Run(); err != nil {
		log.Fatal(err)
	}
	// Output: ZnJvbSB0aGUgd29ya2Vy
}
