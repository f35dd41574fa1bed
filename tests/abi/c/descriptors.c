/* The host closes standard descriptors, or those of the library. The server acknowledges every beat.
 *
 *     descriptors standard     like a daemon, closes stdin, stdout and stderr before it uses the library
 *     descriptors all          closes all other descriptors while it uses the library, and then ends
 *     descriptors disconnect   the same, and disconnects before the end
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static thb_activity_t opened(const char *options) {
    thb_activity_t activity;
    SUCCEEDS(thb_connect(options, strlen(options), err));
    SUCCEEDS(thb_activity_open(TOKEN, TOKEN_LEN, "{\"initial_details\":\"\"}", 22, &activity, err));
    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "1", 1, NULL, err));
    SUCCEEDS(thb_activity_flush(activity, 30000, err));
    return activity;
}

/* Reads the metrics. Returns the connection, which the library keeps open until it is closed here. */
static int scraped(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (const char *url = NULL; url == NULL;) {
        thb_text_t *record;
        SUCCEEDS(thb_log_next(10000, &record, err));
        CHECK(record != NULL);
        url = strstr(thb_text_data(record, NULL), "http://127.0.0.1:");
        if (url != NULL) address.sin_port = htons((uint16_t)atoi(url + strlen("http://127.0.0.1:")));
        thb_text_free(record);
    }
    int lowest = socket(AF_INET, SOCK_STREAM, 0), stream = fcntl(lowest, F_DUPFD, 10);
    close(lowest);
    static const char request[] = "GET /metrics HTTP/1.1\r\n\r\n";
    char answer[4096];
    CHECK(connect(stream, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(write(stream, request, strlen(request)) > 0 && read(stream, answer, sizeof answer) > 0);
    return stream;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    if (strcmp(argv[1], "standard") == 0) {
        int kept = fcntl(STDERR_FILENO, F_DUPFD, 10);
        for (int stream = 0; stream < 3; stream++) close(stream);
        thb_activity_t activity = opened("{\"metrics_address\":\"127.0.0.1:0\"}");
        thb_watch_t watch;
        thb_error_t *none;
        int descriptor = -1;
        int scrape = scraped();
        bool good = thb_watch_open(&watch, &none) == THB_OK && thb_watch_open_fd(watch, &descriptor, &none) == THB_OK;
        for (int stream = 0; stream < 3; stream++) good = good && fcntl(stream, F_GETFD) < 0;
        close(scrape);
        good = good && descriptor > STDERR_FILENO && thb_activity_close(activity, 1000, &none) == THB_OK;
        if (!good) dprintf(kept, "one of the standard streams' numbers is the library's\n");
        return good ? 0 : 1;
    }
    thb_activity_t activity = opened("{}");
    if (syscall(SYS_close_range, 3, ~0U, 0) != 0) return 0; /* the kernel lacks close_range */
    if (strcmp(argv[1], "disconnect") == 0) {
        thb_error_t *why;
        thb_activity_heartbeat(activity, THB_ENCODING_JSON, "2", 1, NULL, &why);
        thb_error_free(why);
        thb_heartbeat(TOKEN "x", TOKEN_LEN + 1, THB_ENCODING_NONE, NULL, 0, 300, NULL, &why);
        thb_error_free(why);
        thb_disconnect(300, &why);
        thb_error_free(why);
    }
    return 0;
}
