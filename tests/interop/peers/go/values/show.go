package values

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Show returns the type of each value that was read, and the value as JSON or in hexadecimal digits.
func Show(pointers []any) []string {
	shown := make([]string, len(pointers))
	for i, pointer := range pointers {
		shown[i] = show(reflect.ValueOf(pointer).Elem().Interface())
	}
	return shown
}

// shortNames are the names that a programmer writes. Reflection returns other names.
var shortNames = strings.NewReplacer("interface {}", "any", "[]uint8", "[]byte")

func show(value any) string {
	if value == nil {
		return "nil"
	}
	name := shortNames.Replace(fmt.Sprintf("%T", value))
	switch v := reflect.ValueOf(value); {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return name + " null"
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return fmt.Sprintf("%s %x", name, v.Bytes())
	}
	var data []byte
	var err error
	if message, ok := value.(proto.Message); ok {
		data, err = protojson.Marshal(message)
	} else {
		data, err = json.Marshal(value)
	}
	if err != nil {
		panic(err)
	}
	return name + " " + string(data)
}
