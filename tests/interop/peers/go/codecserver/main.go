// A codec server, and a client and worker of the official Go SDK with the same codec. README.md in the peers folder describes it.
// With a fourth argument the client and the worker have no codec.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"go.temporal.io/sdk/converter"

	"temporal-heartbeat.dev/go/tests/interop/codec"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go http.Serve(listener, http.HandlerFunc(serve))
	var peer *peer
	if len(os.Args) > 1 {
		peer = startPeer(os.Args[1], os.Args[2], os.Args[3], len(os.Args) == 4)
		defer peer.stop()
	}
	printLine(map[string]any{"endpoint": "http://" + listener.Addr().String()})
	requests := json.NewDecoder(os.Stdin)
	for {
		var r startRequest
		if err := requests.Decode(&r); err == io.EOF {
			return
		} else {
			must(err)
		}
		peer.start(r)
	}
}

// serve answers a request as the SDK's handler does, with the key of the namespace in its header. It prints the request.
func serve(w http.ResponseWriter, r *http.Request) {
	namespace := r.Header.Get("X-Namespace")
	printLine(map[string]any{"request": r.URL.Path, "headers": r.Header})
	if namespace == "" || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "needs the headers X-Namespace and Content-Type", http.StatusBadRequest)
		return
	}
	converter.NewPayloadCodecHTTPHandler(codec.ForNamespace(namespace)).ServeHTTP(w, r)
}

func printLine(value any) {
	line, err := json.Marshal(value)
	must(err)
	fmt.Println(string(line)) // one write, so that lines of different goroutines don't mix
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
