package heartbeat

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"
)

type point struct {
	X int `json:"x"`
	Y int
}

type named []byte

func TestValuesAreConvertedAsTheSDKDoes(t *testing.T) {
	for name, c := range map[string]struct {
		value    any
		encoding string
		data     string
	}{
		"nil":                     {nil, "binary/null", ""},
		"nil pointer":             {(*int)(nil), "binary/null", ""},
		"nil protobuf message":    {(*durationpb.Duration)(nil), "binary/null", ""},
		"nil map":                 {map[string]int(nil), "json/plain", "null"},
		"nil slice":               {[]int(nil), "json/plain", "null"},
		"bytes":                   {[]byte{0, 255}, "binary/plain", "\x00\xff"},
		"no bytes":                {[]byte{}, "binary/plain", ""},
		"nil bytes":               {[]byte(nil), "binary/plain", ""},
		"pointer to bytes":        {&[]byte{1}, "json/plain", `"AQ=="`},
		"bytes of a named type":   {named{1}, "json/plain", `"AQ=="`},
		"int":                     {42, "json/plain", "42"},
		"pointer to int":          {new(int), "json/plain", "0"},
		"string":                  {"é<", "json/plain", `"é\u003c"`},
		"struct":                  {point{1, 2}, "json/plain", `{"x":1,"Y":2}`},
		"protobuf message":        {durationpb.New(1500e6), "json/protobuf", `"1.500s"`},
		"protobuf message, value": {reflect.ValueOf(durationpb.New(1e9)).Elem().Interface(), "json/protobuf", `"1s"`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewPayload(c.value)
			if err != nil {
				t.Fatal(err)
			}
			if p.Encoding() != c.encoding || string(p.Data) != c.data {
				t.Errorf("got %s %q, want %s %q", p.Encoding(), p.Data, c.encoding, c.data)
			}
			messageType := string(p.Metadata["messageType"])
			if wanted := c.encoding == "json/protobuf"; wanted != (messageType == "google.protobuf.Duration") {
				t.Errorf("messageType is %q", messageType)
			}
		})
	}
}

func TestPayloadPassesThroughAsItIs(t *testing.T) {
	secret := Payload{Metadata: map[string][]byte{"encoding": []byte("binary/encrypted"), "key": []byte("k1")}, Data: []byte("#")}
	p, err := NewPayload(secret)
	if err != nil || !reflect.DeepEqual(p, secret) {
		t.Errorf("got %v, %v", p, err)
	}
}

type oldMessage struct{}

func (*oldMessage) Reset()         {}
func (*oldMessage) String() string { return "" }
func (*oldMessage) ProtoMessage()  {}

func TestValueThatCannotBeConvertedIsNamed(t *testing.T) {
	for name, bad := range map[string]any{
		"channel":                  make(chan int),
		"not a number":             math.NaN(),
		"payload in a struct":      struct{ P Payload }{},
		"pointer to a payload":     &Payload{},
		"old protobuf API":         &oldMessage{},
		"old protobuf API, value":  oldMessage{},
		"map with a key of floats": map[float64]int{1: 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := encode(nil, "heartbeat", []any{1, bad})
			wantIs(t, err, ErrInvalidArgument)
			var conversion *ConversionError
			if !errors.As(err, &conversion) || conversion.Index != 1 || conversion.Type != reflect.TypeOf(bad) {
				t.Errorf("got %#v, want a ConversionError of value 1", conversion)
			}
		})
	}
}
