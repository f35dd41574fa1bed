package sdktest

import (
	"slices"
	"testing"

	"go.temporal.io/sdk/converter"

	"temporal-heartbeat.dev/go/heartbeat"
)

func TestCodecOfTheSDKWorks(t *testing.T) {
	codec := heartbeat.CodecFrom(converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	var values []heartbeat.Payload
	for _, value := range []any{41, nil, []byte("bytes")} {
		payload, err := heartbeat.NewPayload(value)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, payload)
	}
	encoded, err := codec.Encode(values)
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range encoded {
		if payload.Encoding() != "binary/zlib" {
			t.Errorf("the encoding is %q", payload.Encoding())
		}
	}
	decoded, err := codec.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	for i, payload := range decoded {
		before, _ := values[i].MarshalBinary()
		after, err := payload.MarshalBinary()
		if err != nil || !slices.Equal(before, after) {
			t.Errorf("%v, and it was %v", after, before)
		}
	}
}
