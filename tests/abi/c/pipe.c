/* A token in a named pipe: the read waits for a writer, and ends when none arrives. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static void *write_token(void *path) {
    int pipe = open(path, O_WRONLY);
    CHECK(pipe >= 0 && write(pipe, "aGk=\n", 5) == 5);
    CHECK(close(pipe) == 0);
    return NULL;
}

int main(void) {
    char *path = getenv("TEMPORAL_ACTIVITY_TASK_TOKEN_FILE");
    CHECK(mkfifo(path, 0600) == 0);
    thb_text_t *text;
    pthread_t writer;
    pthread_create(&writer, NULL, write_token, path);
    SUCCEEDS(thb_token_from_env(&text, err));
    pthread_join(writer, NULL);
    CHECK(strcmp(thb_text_data(text, NULL), "hi") == 0);
    thb_text_free(text);

    alarm(60);
    CHECK(thb_token_from_env(&text, NULL) == THB_CONFIG);
    CHECK(unlink(path) == 0);
    return 0;
}
