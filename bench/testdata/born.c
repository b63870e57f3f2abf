// The least program: it says when its first line ran, on descriptor 1, and ends. No libc: what is measured is how it was
// made, not how long a C library takes to begin.

static long call(long nr, long a, long b, long c)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

void _start(void)
{
	long now[2];
	call(228, 1, (long)now, 0); // clock_gettime(CLOCK_MONOTONIC)
	long ns = now[0] * 1000000000 + now[1];
	call(1, 1, (long)&ns, sizeof ns); // write
	call(231, 0, 0, 0); // exit_group
}
