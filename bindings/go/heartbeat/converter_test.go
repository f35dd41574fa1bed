package heartbeat

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"temporal-heartbeat.dev/go/internal/abi"
)

type point struct {
	X int `json:"x"`
	Y int
}

type named []byte

func TestValuesAreConvertedAsTheSDKDoes(t *testing.T) {
	for _, c := range []struct {
		name     string
		value    any
		encoding string
		data     string
	}{
		{"nil", nil, "binary/null", ""},
		{"nil pointer", (*int)(nil), "binary/null", ""},
		{"nil protobuf message", (*durationpb.Duration)(nil), "binary/null", ""},
		{"nil map", map[string]int(nil), "json/plain", "null"},
		{"nil slice", []int(nil), "json/plain", "null"},
		{"bytes", []byte{0, 255}, "binary/plain", "\x00\xff"},
		{"no bytes", []byte{}, "binary/plain", ""},
		{"nil bytes", []byte(nil), "binary/plain", ""},
		{"pointer to bytes", &[]byte{1}, "json/plain", `"AQ=="`},
		{"bytes of a named type", named{1}, "json/plain", `"AQ=="`},
		{"int", 42, "json/plain", "42"},
		{"pointer to int", new(int), "json/plain", "0"},
		{"string", "é<", "json/plain", `"é\u003c"`},
		{"struct", point{1, 2}, "json/plain", `{"x":1,"Y":2}`},
		{"protobuf message", durationpb.New(1500e6), "json/protobuf", `"1.500s"`},
		{"protobuf message, value", reflect.ValueOf(durationpb.New(1e9)).Elem().Interface(), "json/protobuf", `"1s"`},
	} {
		t.Run(c.name, func(t *testing.T) {
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

func TestPayloadIsNotConverted(t *testing.T) {
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
	for _, c := range []struct {
		name  string
		value any
	}{
		{"channel", make(chan int)},
		{"not a number", math.NaN()},
		{"payload in a struct", struct{ P Payload }{}},
		{"pointer to a payload", &Payload{}},
		{"old protobuf API", &oldMessage{}},
		{"old protobuf API, value", oldMessage{}},
		{"map with a key of floats", map[float64]int{1: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := encodeValues(new(bytes.Buffer), conversion{}, "heartbeat", []any{1, c.value})
			wantIs(t, err, ErrInvalidArgument)
			var conversion *ConversionError
			if !errors.As(err, &conversion) || conversion.Index != 1 || conversion.Type != reflect.TypeOf(c.value) {
				t.Errorf("got %#v, want a ConversionError of value 1", conversion)
			}
		})
	}
}

func TestDetailsAreReadBackIntoTheirTypes(t *testing.T) {
	var (
		i       int
		s       string
		b       []byte
		pt      point
		message *durationpb.Duration
		value   durationpb.Duration
		anyInt  any
		anyByte any
		ptr     = new(int)
		raw     Payload
	)
	second := durationpb.New(time.Second)
	d := detailsOf(t, 42, "text", []byte("bytes"), point{1, 2}, second, second, 7, []byte{9}, nil, "raw")
	if err := d.Get(&i, &s, &b, &pt, &message, &value, &anyInt, &anyByte, &ptr, &raw); err != nil {
		t.Fatal(err)
	}
	if i != 42 || s != "text" || string(b) != "bytes" || pt != (point{1, 2}) || ptr != nil {
		t.Error(i, s, b, pt, ptr)
	}
	if !proto.Equal(message, second) || !proto.Equal(&value, second) {
		t.Error(message, &value)
	}
	if !reflect.DeepEqual(anyInt, 7.0) || !reflect.DeepEqual(anyByte, []byte{9}) {
		t.Error(anyInt, anyByte)
	}
	if raw.Encoding() != "json/plain" || string(raw.Data) != `"raw"` {
		t.Error(raw)
	}
}

func TestBinaryProtobufIsRead(t *testing.T) {
	want := durationpb.New(time.Second)
	data, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got *durationpb.Duration
	if err := newPayload("binary/protobuf", data).Get(&got); err != nil || !proto.Equal(got, want) {
		t.Error(got, err)
	}
}

func TestNullSetsTheZeroValue(t *testing.T) {
	for _, encoding := range []string{"binary/null", "json/protobuf"} {
		message := durationpb.New(time.Second)
		if err := (newPayload(encoding, []byte("null"))).Get(&message); err != nil || message != nil {
			t.Error(encoding, message, err)
		}
	}
	text := "full"
	if err := newPayload("binary/null", nil).Get(&text); err != nil || text != "" {
		t.Error(text, err)
	}
}

func TestNumbersOfPointersAndValuesMayDiffer(t *testing.T) {
	d := detailsOf(t, 1, 2)
	var a, b, c int
	if err := d.Get(&a); err != nil || a != 1 {
		t.Error(a, err)
	}
	c = 77
	if err := d.Get(&a, &b, &c); err != nil || b != 2 || c != 77 {
		t.Error(a, b, c, err)
	}
}

func TestNoDetails(t *testing.T) {
	var d Details
	var i int
	if d.Has() || d.Len() != 0 {
		t.Error("has details")
	}
	wantIs(t, d.Get(&i), ErrNoDetails)
}

func TestValueThatDoesNotFitIsNamed(t *testing.T) {
	var (
		i      int
		s      string
		b      []byte
		as     proto.Message
		nilPtr *int
		array  [3]byte
	)
	for _, c := range []struct {
		name   string
		value  any
		target any
	}{
		{"a string into an int", "x", &i},
		{"an int into bytes", 1, &b},
		{"bytes into a string", []byte("x"), &s},
		{"bytes into an array", []byte("abc"), &array},
		{"bytes into a non-empty interface", []byte("x"), &as},
		{"a message into an int", durationpb.New(1), &i},
		{"a message into an interface", durationpb.New(1), &as},
		{"broken json", newPayload("json/plain", []byte("{")), &i},
		{"a message of broken json", newPayload("json/protobuf", []byte("{")), new(durationpb.Duration)},
		{"a message of broken protobuf", newPayload("binary/protobuf", []byte{8}), new(durationpb.Duration)},
		{"an unknown encoding", newPayload("binary/encrypted", nil), &b},
		{"no encoding", Payload{Metadata: map[string][]byte{}}, &b},
		{"no metadata", Payload{}, &b},
		{"an int into what isn't a pointer", 1, 1},
		{"null into what isn't a pointer", nil, 1},
		{"an int into nil", 1, nil},
		{"an int into a nil pointer", 1, nilPtr},
		{"bytes into a nil pointer to bytes", []byte("x"), (*[]byte)(nil)},
		{"a payload into a nil payload", 1, (*Payload)(nil)},
		{"a message into a nil pointer to one", durationpb.New(1), (*durationpb.Duration)(nil)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var first int
			err := detailsOf(t, 5, c.value).Get(&first, c.target)
			var conversion *ConversionError
			if !errors.As(err, &conversion) {
				t.Fatalf("got %v, want a ConversionError", err)
			}
			if conversion.Index != 1 || conversion.Type != reflect.TypeOf(c.target) || first != 5 {
				t.Errorf("got %v, and the first value is %d", err, first)
			}
		})
	}
}

func TestCallerOwnsTheBytesThatItReads(t *testing.T) {
	d := detailsOf(t, []byte("abc"))
	var bytes, again []byte
	var raw Payload
	if err := errors.Join(d.Get(&bytes), d.Get(&raw)); err != nil {
		t.Fatal(err)
	}
	bytes[0], raw.Data[1], d.Payloads()[0].Data[2] = 'x', 'x', 'x'
	raw.Metadata["encoding"][0] = 'x'
	if err := d.Get(&again); err != nil || string(again) != "abc" {
		t.Errorf("got %q, %v", again, err)
	}
}

func TestDetailsHaveAttemptTimeAndTimeout(t *testing.T) {
	d := Details{attempt: 3, recordedAtUnixMs: 1500, heartbeatTimeoutMs: 2000}
	timeout, known := d.HeartbeatTimeout()
	if d.Attempt() != 3 || !d.RecordedAt().Equal(time.UnixMilli(1500)) || timeout != 2*time.Second || !known {
		t.Error(d.Attempt(), d.RecordedAt(), timeout, known)
	}
	d = Details{heartbeatTimeoutMs: -1}
	if _, known := d.HeartbeatTimeout(); known || !d.RecordedAt().IsZero() {
		t.Error("a timeout or a time without a value of the server")
	}
}

func TestSingleValueIsRecordedAsConverted(t *testing.T) {
	for _, value := range []any{
		nil, true, 42, -1.5, "Unicode: é 🙂 <&>\n", "\xff", []int(nil), map[string]any{"b": 1, "a": nil}, []any{"x"}, (*int)(nil),
		struct{ Item int }{41}, &struct{ Item int }{41}, json.RawMessage(` {"b": 1} `), time.Unix(1, 0).UTC(),
		[]byte("bytes"), Payload{Data: []byte("x")}, durationpb.New(time.Second),
	} {
		var buffer bytes.Buffer
		got, err := encodeValues(&buffer, conversion{}, "test", []any{value})
		want, wantErr := NewPayload(value)
		wanted := want.Data
		if got.encoding == abi.EncodingPayloads {
			wanted = appendPayloads(nil, []Payload{want})
		} else if want.Encoding() != map[int32]string{abi.EncodingJSON: encodingJSON, abi.EncodingBinary: encodingBinary}[got.encoding] {
			t.Errorf("%v is %s", value, want.Encoding())
		}
		if err != nil || wantErr != nil || !bytes.Equal(got.data, wanted) {
			t.Errorf("%v: %q, %v; want %q, %v", value, got.data, err, wanted, wantErr)
		}
	}
}
