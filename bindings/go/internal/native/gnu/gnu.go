//go:build unix

// Package gnu links the native library into programs for glibc.
//
// Go links the objects libtemporal_heartbeat_GOOS_GOARCH.syso of this folder. A release has them, the repository doesn't
// (packaging/go_module.py adds them). Without the object of its platform, a program opens a shared library when it runs.
package gnu

/*
#cgo linux LDFLAGS: -lpthread -lm -ldl -static-libgcc -lgcc_eh
#ifdef __linux__
#include <features.h>
#if !defined __GLIBC__
#if (defined __x86_64__ && __has_include("libtemporal_heartbeat_linux_amd64.syso")) \
    || (defined __aarch64__ && __has_include("libtemporal_heartbeat_linux_arm64.syso"))
#error "temporal-heartbeat: the C library of this system is not glibc: add -tags musl to the build"
#endif
#endif
#endif
*/
import "C"
