//go:build unix

// Package nothing is a C function that does nothing, with the arguments of the one that records a heartbeat: what a call into C costs
// at the least, for a benchmark to compare with.
package nothing

/*
#include <stddef.h>
#include <stdint.h>

typedef struct { int32_t status; uint32_t signals; void *error; } answer;

__attribute__((noinline)) static answer nothing(uint64_t activity, int32_t encoding, const unsigned char *details, size_t size) {
    (void)activity, (void)encoding, (void)details, (void)size;
    answer none = {0};
    return none;
}
*/
import "C"

import "unsafe"

// Call calls it.
func Call(activity uint64, encoding int32, details []byte) (signals uint32) {
	data := (*C.uchar)(unsafe.SliceData(details))
	return uint32(C.nothing(C.uint64_t(activity), C.int32_t(encoding), data, C.size_t(len(details))).signals)
}
