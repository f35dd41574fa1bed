//go:build !cgo || !unix

package abi

// Calling the native library needs cgo (CGO_ENABLED=1 and a C compiler) on a Unix system. Otherwise the build stops here.
var _ = temporal_heartbeat_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler
