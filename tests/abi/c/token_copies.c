/* No copy of a task token stays in memory: neither of a closed activity, nor of a token from the environment, nor of a sent token
 * once a later request has overwritten the connection's buffers. The server acknowledges every heartbeat. */
#include <unistd.h>

#include "check.h"

/* The token with each byte changed, so that this array isn't counted as a copy. */
#define MASK 0x55
static const unsigned char masked[] = {'S' ^ MASK, '3' ^ MASK, 'c' ^ MASK, 'R' ^ MASK, '3' ^ MASK, 'T' ^ MASK,
                                       '-' ^ MASK, 'h' ^ MASK, 'E' ^ MASK, 'r' ^ MASK, 'E' ^ MASK, '!' ^ MASK};
#define LEN sizeof masked

static void unmask(char *into) {
    for (size_t i = 0; i < LEN; i++) into[i] = (char)(masked[i] ^ MASK);
}

static void wipe(volatile char *bytes) {
    for (size_t i = 0; i < LEN; i++) bytes[i] = 0;
}

/* Counts the copies of the token in the memory of this process. */
static int copies(void) {
    static unsigned char page[1 << 16];
    int found = 0, memory = -1;
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r"), *bytes = fopen("/proc/self/mem", "rb");
    CHECK(maps != NULL && bytes != NULL);
    memory = fileno(bytes);
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3 || strncmp(rights, "rw", 2) != 0) continue;
        /* Blocks overlap, so a copy at the end of a block is found in the next. Copies in the read buffer don't count. */
        for (unsigned long at = begin; at < end; at += sizeof page - LEN + 1) {
            ssize_t size = pread(memory, page, sizeof page, (off_t)at);
            for (ssize_t i = 0; i + (ssize_t)LEN <= size; i++) {
                size_t same = 0;
                while (same < LEN && (page[(size_t)i + same] ^ MASK) == masked[same]) same++;
                unsigned long where = at + (unsigned long)i, buffer = (unsigned long)page;
                if (same == LEN && (where < buffer || where >= buffer + sizeof page)) found++;
            }
            memset(page, 0, sizeof page);
        }
    }
    fclose(maps);
    fclose(bytes);
    return found;
}

int main(void) {
    static char token[LEN];
    unmask(token);
    CHECK(copies() == 1); /* the test finds the copy where it is */
    SUCCEEDS(thb_connect(NULL, 0, err));
    thb_activity_t activity;
    SUCCEEDS(thb_activity_open(token, LEN, "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}", 51, &activity, err));
    CHECK(copies() == 2);
    SUCCEEDS(thb_activity_close(activity, 1000, err));
    CHECK(copies() == 1);
    FAILS(THB_TIMEOUT, thb_heartbeat(token, LEN, THB_ENCODING_NONE, NULL, 0, 0, NULL, err));
    CHECK(copies() == 1);

    thb_text_t *text;
    SUCCEEDS(thb_token_from_env(&text, err));
    CHECK(copies() == 2);
    thb_text_free(text);
    CHECK(copies() == 1);

    SUCCEEDS(thb_activity_open(token, LEN, "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}", 51, &activity, err));
    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "1", 1, NULL, err));
    SUCCEEDS(thb_activity_flush(activity, 30000, err));
    SUCCEEDS(thb_activity_close(activity, 1000, err));
    SUCCEEDS(thb_complete(token, LEN, THB_ENCODING_NONE, NULL, 0, 30000, err));
    /* The connection's two buffers keep the last request until a later one overwrites it. */
    CHECK(copies() <= 1 + 2);
    for (int i = 0; i < 20 && copies() > 1; i++)
        SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "1", 1, 30000, NULL, err));
    CHECK(copies() == 1);
    SUCCEEDS(thb_disconnect(1000, err));
    CHECK(copies() == 1);
    wipe(token);
    return 0;
}
