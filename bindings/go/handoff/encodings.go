package handoff

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"temporal-heartbeat.dev/go/internal/wire"
)

// readable are the encodings that the SDKs' default data converters make.
var readable = []string{"json/plain", "json/protobuf", "binary/plain", "binary/protobuf"}

// anyReadable finds what no codec has encoded. A null has nothing in it to be read.
func anyReadable(encodings []string) bool {
	return slices.ContainsFunc(encodings, func(encoding string) bool { return slices.Contains(readable, encoding) })
}

// encodingsOf lists the encodings of serialized Payloads.
func encodingsOf(payloads []byte) (encodings []string, err error) {
	_, err = wire.Fields(payloads, func(field protowire.Number, payload []byte) (bool, error) {
		if field != wire.Payloads {
			return true, nil
		}
		encoding := ""
		_, err := wire.Fields(payload, func(field protowire.Number, data []byte) (bool, error) {
			if field != wire.Metadata {
				return true, nil
			}
			key, value, err := wire.MetadataEntry(data)
			if key == "encoding" {
				encoding = string(value)
			}
			return true, err
		})
		encodings = append(encodings, encoding)
		return true, err
	})
	return encodings, err
}
