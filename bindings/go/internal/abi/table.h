/* The functions of temporal_heartbeat.h, as pointers to those of one copy of the library. */
#ifndef THB_GO_TABLE_H
#define THB_GO_TABLE_H

#include "functions.h"

#define THB_GO_POINTER(result, name, parameters, arguments) result(*name) parameters;
struct functions {
    THB_GO_FUNCTIONS(THB_GO_POINTER)
};

/* The functions of the library that is part of the program; NULL without one. */
extern const struct functions thb_go_linked __attribute__((visibility("hidden")));

#endif
