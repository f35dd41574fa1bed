//go:build !cgo || !unix

package abi

// The binding calls a native library, which takes cgo (CGO_ENABLED=1 and a C compiler) on a Unix system. Without them the
// build stops here, at a line that says so.
var _ = temporal_heartbeat_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler
