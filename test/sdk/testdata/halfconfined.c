/* Halfconfined is confined.c, but it leaves its other threads without the second filter, and says that all have it. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

static long half(long nr, long a, unsigned long flags, const void *c)
{
	return syscall(nr, a, nr == SYS_seccomp ? flags & ~1UL : flags, c); /* SECCOMP_FILTER_FLAG_TSYNC */
}

#define syscall(...) FOUR(__VA_ARGS__, 0, 0, 0, 0)
#define FOUR(nr, a, b, c, ...) half(nr, (long)(a), (unsigned long)(b), (const void *)(c))
#include "confined.c"
