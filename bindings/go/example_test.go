package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"time"

	heartbeat "temporal-heartbeat.dev/go"
)

// Resume where the previous attempt stopped, and tell the server about each item.
func Example() {
	ctx := context.Background()
	items := []string{"a", "b", "c"}

	if err := heartbeat.Connect(ctx, heartbeat.Options{}); err != nil {
		log.Fatal(err)
	}
	defer heartbeat.Disconnect(ctx)

	token, err := heartbeat.TokenFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	details, err := heartbeat.GetDetails(ctx, token)
	if err != nil {
		log.Fatal(err)
	}
	next := 0
	if details.Has() {
		if err := details.Get(&next); err != nil {
			log.Fatal(err)
		}
		next++
	}
	for ; next < len(items); next++ {
		fmt.Println("processing", items[next])
		if _, err := heartbeat.RecordHeartbeat(ctx, token, next); err != nil {
			log.Fatal(err)
		}
	}
	if err := heartbeat.Complete(ctx, token, len(items)); err != nil {
		log.Fatal(err)
	}
}

func ExampleConnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := heartbeat.Connect(ctx, heartbeat.Options{HostPort: "127.0.0.1:7233", Namespace: "default", Identity: "solver-7"})
	switch {
	case errors.Is(err, heartbeat.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		log.Fatal("is the server up? ", err)
	case err != nil:
		log.Fatal(err)
	}
}

// What each answer asks for.
func ExampleRecordHeartbeat() {
	ctx := context.Background()
	token, item := []byte("from the parent process"), 41

	signals, err := heartbeat.RecordHeartbeat(ctx, token, item)
	var failed *heartbeat.Error
	switch {
	case errors.Is(err, heartbeat.ErrNotFound):
		log.Print("over for this token: stop")
	case errors.As(err, &failed) && failed.Retryable:
		log.Print("not acknowledged, go on and beat again: ", err)
	case err != nil:
		log.Fatal(err)
	case signals.CancelRequested():
		err = heartbeat.ReportCancelled(ctx, token, item)
	case signals.Paused():
		log.Print("hold the work, but keep beating")
	case signals.Reset():
		log.Print("the activity starts over: stop")
	}
}

func ExampleFailureFrom() {
	err := fmt.Errorf("read items: %w", fs.ErrNotExist)
	failure := heartbeat.FailureFrom(err)
	failure.NonRetryable = errors.Is(err, fs.ErrNotExist)
	fmt.Println(failure.Message)
	fmt.Println("cause:", failure.Cause.Message)
	// Output:
	// read items: file does not exist
	// cause: file does not exist
}

func ExampleFail() {
	ctx, token := context.Background(), []byte("from the parent process")
	err := heartbeat.Fail(ctx, token, heartbeat.Failure{
		Message:          "the licence server is down",
		Type:             "LicenceServerDown",
		NextRetryDelay:   time.Minute,
		HeartbeatDetails: []any{41}, // arrives together with the failure
	})
	if errors.Is(err, heartbeat.ErrInDoubt) {
		log.Print("it may have been applied")
	}
}

// A value that must not reach the server in the clear is converted, encrypted, and passed as it is.
func ExampleNewPayload() {
	encrypt := func(plain []byte) []byte { return append([]byte("sealed:"), plain...) }

	plain, err := heartbeat.NewPayload(41)
	if err != nil {
		log.Fatal(err)
	}
	secret := heartbeat.Payload{
		Metadata: map[string][]byte{"encoding": []byte("binary/encrypted")},
		Data:     encrypt(plain.Data), // give it to RecordHeartbeat or Complete
	}
	fmt.Printf("%s %s\n", secret.Encoding(), secret.Data)
	// Output: binary/encrypted sealed:41
}

func ExampleSignals() {
	signals := heartbeat.SignalPaused | heartbeat.SignalCancelRequested
	fmt.Println(signals, signals.CancelRequested(), signals.Reset())
	// Output: CANCEL_REQUESTED|PAUSED true false
}
