// The work of an activity, for a container without a shell: counts to its argument, one JSON line for each item. The first line says what
// surrounds it. With the argument 0 it waits for a signal.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int items = argc > 1 ? atoi(argv[1]) : 0;
    int written = open("/written", O_CREAT | O_WRONLY, 0600);
    printf("parent %d user %d group %d write %s\n", (int)getppid(), (int)getuid(), (int)getgid(), written < 0 ? strerror(errno) : "OK");
    fflush(stdout);
    for (int item = 1; item <= items; item++) {
        printf("%d\n", item);
        fflush(stdout);
        usleep(100 * 1000);
    }
    while (items == 0) pause();
    return 0;
}
