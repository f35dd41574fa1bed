// A child with the codec of the codec server, which gets its serialization context from the hand-off. README.md in the peers folder
// describes it.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"go.temporal.io/sdk/converter"

	"temporal-heartbeat.dev/go/heartbeat"
	"temporal-heartbeat.dev/go/tests/interop/codec"
)

func main() {
	ctx := context.Background()
	options := heartbeat.Options{RequireEncoded: true, EncodeCommonAttributes: true, Compression: "none"}
	ofNamespace := codec.ForNamespace(os.Getenv("TEMPORAL_NAMESPACE"))
	switch os.Args[1] {
	case "codec":
		options.PayloadCodec = heartbeat.CodecFrom(ofNamespace, converter.ActivitySerializationContext{})
	case "server":
		options.CodecEndpoint = os.Args[2]
	case "converter":
		dataConverter := converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), ofNamespace)
		options.DataConverter = heartbeat.DataConverterFrom(dataConverter, converter.ActivitySerializationContext{})
	}
	must(heartbeat.Connect(ctx, options))
	act, err := heartbeat.OpenFromEnv(ctx, heartbeat.OpenOptions{})
	must(err)
	requests := bufio.NewScanner(os.Stdin)
	for requests.Scan() {
		var words []string
		must(json.Unmarshal(requests.Bytes(), &words))
		seen, err := do(ctx, act, words)
		answer := map[string]any{"seen": seen}
		if err != nil {
			answer = map[string]any{"error": err.Error()}
		}
		line, err := json.Marshal(answer)
		must(err)
		fmt.Println(string(line))
	}
	must(heartbeat.Disconnect(ctx))
}

func do(ctx context.Context, act *heartbeat.Activity, words []string) (seen any, err error) {
	switch words[0] {
	case "details":
		err = act.GetHeartbeatDetails(&seen)
	case "record":
		if _, err = act.RecordHeartbeat(words[1]); err == nil {
			err = act.Flush(ctx)
		}
	case "record_payload":
		var payload heartbeat.Payload
		var data []byte
		if data, err = base64.StdEncoding.DecodeString(words[1]); err != nil {
			return nil, err
		}
		if err = payload.UnmarshalBinary(data); err != nil {
			return nil, err
		}
		if _, err = act.RecordHeartbeat(payload); err == nil {
			err = act.Flush(ctx)
		}
	case "complete":
		err = act.Complete(ctx, words[1])
	case "fail":
		err = act.Fail(ctx, heartbeat.Failure{
			Message: words[1], Type: "T", StackTrace: words[1], Details: []any{words[1]}, NonRetryable: words[2] == "for good",
			Cause: &heartbeat.Failure{Message: words[1]},
		})
	}
	return seen, err
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
