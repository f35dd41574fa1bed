// A child that uses temporal-heartbeat for Go. README.md in the peers folder describes it.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"temporal-heartbeat.dev/go/heartbeat"
	"temporal-heartbeat.dev/go/tests/interop/cipher"
	"temporal-heartbeat.dev/go/tests/interop/values"
)

var codec = heartbeat.CodecFrom(cipher.Cipher{})

const asItIs = "as it is"

// sdkErrors are errors of the SDK, by the names of test_sdk_errors_go.py.
var sdkErrors = map[string]error{
	"all fields": temporal.NewApplicationErrorWithOptions("simulated failure", "test", temporal.ApplicationErrorOptions{
		NonRetryable:   true,
		Cause:          temporal.NewApplicationError("the cause", "Inner", 41),
		Details:        []any{"some details"},
		NextRetryDelay: 3 * time.Second,
		Category:       temporal.ApplicationErrorCategoryBenign,
	}),
	"first":  temporal.NewApplicationError("err message", "", "err details"),
	"second": temporal.NewApplicationError("err message 2", "", "err details 2"),
	"plain":  errors.New(""),
}

func main() {
	ctx := context.Background()
	requests := bufio.NewScanner(os.Stdin)
	for requests.Scan() {
		var words []string
		must(json.Unmarshal(requests.Bytes(), &words))
		seen, err := do(ctx, words[0], words[1:])
		if words[0] == "connect" && slices.Contains(words, "of each call") {
			ctx = heartbeat.WithPayloadCodec(ctx, codec)
		}
		answer := map[string]any{"seen": seen}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		line, err := json.Marshal(answer)
		must(err)
		fmt.Println(string(line))
	}
}

func do(ctx context.Context, verb string, words []string) ([]string, error) {
	if verb == "connect" {
		options := heartbeat.Options{HostPort: words[0], Namespace: words[1]}
		options.RequireEncoded = len(words) > 2
		if slices.Contains(words, "of the connection") {
			options.PayloadCodec = codec
		}
		return nil, heartbeat.Connect(ctx, options)
	}
	token, err := hex.DecodeString(words[0])
	must(err)
	if verb == "retry" {
		return nil, heartbeat.Fail(ctx, token, heartbeat.Failure{Message: "once more"})
	}
	name := words[1]
	if verb == "fail_with" {
		return nil, heartbeat.Fail(ctx, token, sdkErrors[name])
	}
	if verb == "get_details" {
		return read(ctx, token, name)
	}
	native, err := toWrite(ctx, token, name)
	if err != nil {
		return nil, err
	}
	switch verb {
	case "heartbeat":
		if len(native) == 0 {
			_, err = heartbeat.ClearHeartbeat(ctx, token)
		} else {
			_, err = heartbeat.RecordHeartbeat(ctx, token, native...)
		}
	case "complete":
		err = heartbeat.Complete(ctx, token, native[0])
	case "fail":
		err = heartbeat.Fail(ctx, token, heartbeat.Failure{Message: "for good", NonRetryable: true, Details: native})
	default:
		panic(verb)
	}
	return nil, err
}

func read(ctx context.Context, token []byte, name string) ([]string, error) {
	details, err := heartbeat.GetDetails(ctx, token)
	if err != nil || !details.Has() {
		return []string{}, err
	}
	if name == asItIs {
		var seen []string
		for _, payload := range details.Payloads() {
			seen = append(seen, fmt.Sprintf("%s %x", payload.Encoding(), payload.Data))
		}
		return seen, nil
	}
	pointers := values.Pointers(name)
	if err := details.Get(pointers...); err != nil {
		return nil, err
	}
	return values.Show(pointers), nil
}

func toWrite(ctx context.Context, token []byte, name string) ([]any, error) {
	if name != asItIs {
		return values.Named(name), nil
	}
	details, err := heartbeat.GetDetails(ctx, token)
	if err != nil {
		return nil, err
	}
	return details.Values(), nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
