/* The header and the library have the same version. */
#include "check.h"

int main(void) {
    CHECK(thb_abi_version() == THB_ABI_VERSION);
    CHECK(thb_check_abi(THB_ABI_VERSION) == THB_OK);
    CHECK(thb_check_abi(THB_ABI_VERSION + 1) == THB_ABI_MISMATCH);
    CHECK(thb_check_abi(THB_ABI_VERSION + (1u << 16)) == THB_ABI_MISMATCH);
    CHECK(THB_FOREVER == UINT32_MAX);
    CHECK(sizeof(thb_status_t) == 4 && sizeof(thb_encoding_t) == 4);
    return 0;
}
