//go:build unix && cgo && !musl && !temporal_heartbeat_static

package abi

import _ "temporal-heartbeat.dev/go/internal/native/gnu" // links the library into the program
