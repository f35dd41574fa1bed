// Package values has the values of docs/values.md in Go, by their names.
package values

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

type progress struct {
	Name string `json:"name"`
	Item int    `json:"item"`
}

type untagged struct {
	Name string
	Item int
}

type blob []byte

var written = map[string][]any{
	"integer":         {42},
	"large integer":   {int64(9007199254740993)},
	"fraction":        {0.1},
	"whole float":     {3.0},
	"boolean":         {true},
	"text":            {"seven of nine"},
	"Unicode":         {"é 漢 😀 <&>"},
	"nested":          {map[string]any{"b": []any{1, "two", nil}, "a": map[string]any{"deep": []any{}}}},
	"bytes":           {[]byte{0, 1, 255}},
	"empty bytes":     {[]byte{}},
	"nil bytes":       {[]byte(nil)},
	"named bytes":     {blob("ab")},
	"null":            {nil},
	"lone nil":        {nil},
	"nil pointer":     {(*progress)(nil)},
	"two values":      {1, "two"},
	"no values":       {},
	"object":          {progress{"solve", 41}},
	"untagged object": {untagged{"solve", 41}},
	"Duration":        {durationpb.New(1500 * time.Millisecond)},
	"Struct":          {newStruct()},
	"time":            {time.Date(2025, 6, 1, 12, 0, 0, 500_000_000, time.UTC)},
	"span of time":    {1500 * time.Millisecond},
}

func newStruct() *structpb.Struct {
	made, err := structpb.NewStruct(map[string]any{"items": []any{0.5, "two"}})
	if err != nil {
		panic(err)
	}
	return made
}

// Named returns the value, or the values, of a name.
func Named(name string) []any {
	values, ok := written[name]
	if !ok {
		panic("no value is named " + name)
	}
	return values
}

// Pointers returns variables of the types into which a program would read these values, or any for values of other languages.
func Pointers(name string) []any {
	switch name {
	case "integer":
		return []any{new(int)}
	case "large integer":
		return []any{new(int64)}
	case "fraction", "whole float", "not a number":
		return []any{new(float64)}
	case "boolean":
		return []any{new(bool)}
	case "text", "Unicode":
		return []any{new(string)}
	case "bytes", "empty bytes", "nil bytes":
		return []any{new([]byte)}
	case "named bytes":
		return []any{new(blob)}
	case "null":
		return []any{new(*string)}
	case "nil pointer":
		return []any{new(*progress)}
	case "two values":
		return []any{new(int), new(string)}
	case "object":
		return []any{new(progress)}
	case "untagged object":
		return []any{new(untagged)}
	case "Duration":
		return []any{new(*durationpb.Duration)}
	case "Struct":
		return []any{new(*structpb.Struct)}
	case "time":
		return []any{new(time.Time)}
	case "span of time":
		return []any{new(time.Duration)}
	}
	return []any{new(any)}
}
