//go:build !temporal_heartbeat_static

/* Finds the functions of the library that package native adds to the program. A reference is weak, so that the program also links
 * without the library, and hidden, so that it never binds to a shared library. */
#include "temporal_heartbeat.h"
#include "table.h"

#ifdef __ELF__
#define WEAK(result, name, parameters, arguments) extern result name parameters __attribute__((weak, visibility("hidden")));
THB_GO_FUNCTIONS(WEAK)
#define ADDRESS(result, name, parameters, arguments) .name = name,
const struct functions thb_go_linked = {THB_GO_FUNCTIONS(ADDRESS)};
#else
const struct functions thb_go_linked = {0};
#endif
