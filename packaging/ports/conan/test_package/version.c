#include <stdio.h>

#include "temporal_heartbeat.h"

int main(void) {
    printf("temporal-heartbeat %s\n", thb_version());
    return thb_check_abi(THB_ABI_VERSION);
}
