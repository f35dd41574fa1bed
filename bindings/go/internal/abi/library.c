//go:build !temporal_heartbeat_static

/* Defines each function of temporal_heartbeat.h as a call of the function of the same name in the library that thb_go_open opened. */
#include "library.h"
#include "table.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static struct functions library;

#define FORWARDER(result, name, parameters, arguments) \
    result name parameters { return library.name arguments; }
THB_GO_FUNCTIONS(FORWARDER)

/* ISO C can't convert an object pointer to a function pointer. POSIX guarantees that they have the same representation. */
static int find(void *handle, const char *symbol, void *function_out) {
    void *address = dlsym(handle, symbol);
    memcpy(function_out, &address, sizeof address);
    return address != NULL;
}

static thb_status_t check_abi(const struct functions *found, char *message, size_t message_size) {
    const uint32_t ours = THB_ABI_VERSION;

    if (found->thb_check_abi(ours) == THB_OK) {
        return THB_OK;
    }
    const uint32_t theirs = found->thb_abi_version();
    snprintf(message, message_size, "it has ABI version %u.%u, this program was built for %u.%u", (unsigned)(theirs >> 16),
             (unsigned)(theirs & 0xffff), (unsigned)(ours >> 16), (unsigned)(ours & 0xffff));
    return THB_ABI_MISMATCH;
}

static thb_status_t find_all(void *handle, struct functions *found, char *message, size_t message_size) {
    if (!find(handle, "thb_check_abi", &found->thb_check_abi) || !find(handle, "thb_abi_version", &found->thb_abi_version)) {
        snprintf(message, message_size, "it is not the temporal-heartbeat library: it has no thb_check_abi");
        return THB_CONFIG;
    }
    if (check_abi(found, message, message_size) != THB_OK) {
        return THB_ABI_MISMATCH;
    }
#define FIND(result, name, parameters, arguments)                          \
    if (!find(handle, #name, &found->name)) {                              \
        snprintf(message, message_size, "it has no function %s", #name);   \
        return THB_CONFIG;                                                 \
    }
    THB_GO_FUNCTIONS(FIND)
    return THB_OK;
}

int thb_go_is_linked(void) { return thb_go_linked.thb_check_abi != NULL; }

thb_status_t thb_go_open_linked(char *message, size_t message_size) {
    const thb_status_t status = check_abi(&thb_go_linked, message, message_size);
    if (status == THB_OK) {
        library = thb_go_linked;
    }
    return status;
}

thb_status_t thb_go_open(const char *path, char *message, size_t message_size) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = dlerror();
        snprintf(message, message_size, "%s", reason != NULL ? reason : "dlopen failed");
        return THB_CONFIG;
    }
    struct functions found;
    thb_status_t status = find_all(handle, &found, message, message_size);
    if (status != THB_OK) {
        dlclose(handle);
        return status;
    }
    library = found;
    return THB_OK;
}
