/* What the attacks have in common: each is a handler of one event that does its worst. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The exit status of an attack that got what it was to be refused. */
#define BROKE 42

static inline void broke(const char *what)
{
    fprintf(stderr, "not refused: %s\n", what);
    exit(BROKE);
}

/* The event's data: the supervisor's process, and one of another app. */
static inline void targets(int pid[2])
{
    if (scanf("%d %d", &pid[0], &pid[1]) != 2) {
        fprintf(stderr, "the data is not two numbers\n");
        exit(1);
    }
}

/* Root would not be refused, but in namespaces of its app's own. */
__attribute__((constructor)) static void nobody(void)
{
    static const char cell[] = "aem-exec: namespaces of ";
    char first[sizeof cell] = "";
    FILE *f = geteuid() == 0 ? fopen("/proc/1/cmdline", "r") : NULL;
    if (geteuid() != 0 || (f && fgets(first, sizeof first, f) && strcmp(first, cell) == 0))
        return;
    fprintf(stderr, "an attack does not run as root\n");
    exit(1);
}
