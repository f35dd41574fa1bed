// Command sdk sends heartbeats through the official Go SDK. GZIP=0 in the environment turns off the SDK's default compression.
// See ../../README.md.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"os"

	"go.temporal.io/sdk/client"

	"temporal-heartbeat.dev/benches/measure"
)

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

func main() {
	task := measure.Asked()
	options := client.Options{HostPort: task.Address, Logger: quiet{}}
	if os.Getenv("GZIP") == "0" {
		options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	if task.CA != "" {
		pem, err := os.ReadFile(task.CA)
		if err != nil {
			log.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		options.ConnectionOptions.TLS = &tls.Config{RootCAs: roots}
	}
	c, err := client.Dial(options)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	var details []any
	if len(task.Details) > 0 {
		details = []any{task.Details}
	}
	task.Run(func(token []byte) error {
		return c.RecordActivityHeartbeat(context.Background(), token, details...)
	})
}
