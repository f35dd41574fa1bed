package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"temporal-heartbeat.dev/go/heartbeat"
)

func fromHex(word string) []byte {
	switch word {
	case "-":
		return nil
	case ".":
		return []byte{}
	}
	data, err := hex.DecodeString(word)
	if err != nil {
		panic(err)
	}
	return data
}

func toHex(data []byte) string {
	if len(data) == 0 {
		return "."
	}
	return hex.EncodeToString(data)
}

// within returns a context that ends after the timeout. With a timeout of 0 it has already ended.
func within(timeout string) (context.Context, context.CancelFunc) {
	if timeout == "forever" {
		return context.WithCancel(context.Background())
	}
	ms, err := strconv.ParseInt(timeout, 10, 64)
	if err != nil {
		panic(err)
	}
	return context.WithTimeout(context.Background(), milliseconds(ms))
}

func milliseconds(ms int64) time.Duration {
	return time.Duration(ms) * time.Millisecond
}

func fromValues(words []string) []any {
	values := make([]any, len(words))
	for i, word := range words {
		values[i] = fromValue(word)
	}
	return values
}

func fromValue(word string) any {
	encoding, data, _ := strings.Cut(word, ":")
	switch encoding {
	case "json":
		var value any
		mustUnmarshal(fromHex(data), &value)
		return value
	case "binary":
		return fromHex(data)
	case "null":
		return nil
	}
	panic("a value of encoding " + encoding)
}

// toValue decodes the payload into a Go value, which the binding encodes again.
func toValue(payload heartbeat.Payload) string {
	var err error
	var data []byte
	switch payload.Encoding() {
	case "binary/null":
	case "binary/plain":
		err = payload.Get(&data)
	default:
		var value any
		if err = payload.Get(&value); err == nil {
			data, err = json.Marshal(value)
		}
	}
	if err != nil {
		panic(err)
	}
	return payload.Encoding() + ":" + toHex(data)
}
