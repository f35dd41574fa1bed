/* Runs a command, and prints its wall time, its processor time and its memory. This program must be small, because a process
 * inherits the memory peak of its parent.
 *
 *     launch COMMAND ...
 */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double ms(struct timeval time) { return (double)time.tv_sec * 1e3 + (double)time.tv_usec / 1e3; }

int main(int argc, char **argv) {
    if (argc < 2) return fprintf(stderr, "usage: %s COMMAND ...\n", argv[0]), EXIT_FAILURE;
    double began = now_ms();
    pid_t child = fork();
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    int status;
    struct rusage used;
    if (wait4(child, &status, 0, &used) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return EXIT_FAILURE;
    printf("{\"wall_ms\":%.3f,\"cpu_ms\":%.3f,\"rss_mb\":%.2f}\n", now_ms() - began, ms(used.ru_utime) + ms(used.ru_stime),
           (double)used.ru_maxrss / 1024);
}
