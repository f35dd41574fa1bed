module temporal-heartbeat.dev/go/tests/driver

go 1.23

require temporal-heartbeat.dev/go v0.0.0

require google.golang.org/protobuf v1.36.12 // indirect

replace temporal-heartbeat.dev/go => ../../../bindings/go
