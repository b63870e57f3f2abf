// The floor of waking a handler: one process writes an eventfd every 200 us, another sleeps in a read of it. A sample is
// from before the write to after the read. With the argument `copy` it begins before a process_vm_writev of 1 KiB into
// the sleeper's memory: the two system calls that no event can do without.

#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 12, SIZE = 1 << 10 };

static char data[SIZE];

struct shared {
	int64_t start;
	int64_t took;
};

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sleeper(volatile struct shared *s, int bell, int answer)
{
	uint64_t count;
	memset(data, 0, SIZE); // its pages are there before the first copy
	while (read(bell, &count, sizeof count) == sizeof count) {
		s->took = now() - s->start;
		count = 1;
		if (write(answer, &count, sizeof count) != sizeof count)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	int copies = argc > 1 && !strcmp(argv[1], "copy");
	volatile struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int bell = eventfd(0, 0), answer = eventfd(0, 0);
	if (s == MAP_FAILED || bell < 0 || answer < 0)
		return 1;
	memset(data, 1, SIZE);
	pid_t sleepy = fork();
	if (sleepy == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sleeper(s, bell, answer);
		_exit(1);
	}
	static int64_t took[MOST];
	const struct timespec pace = {0, 200000};
	uint32_t n;
	uint64_t one = 1;
	while (read(0, &n, sizeof n) == sizeof n && n <= MOST) {
		for (uint32_t i = 0; i < n; i++) {
			nanosleep(&pace, NULL);
			s->start = now();
			struct iovec bytes = {data, SIZE};
			if (copies && process_vm_writev(sleepy, &bytes, 1, &bytes, 1, 0) != SIZE)
				return 1;
			if (write(bell, &one, sizeof one) != sizeof one || read(answer, &one, sizeof one) != sizeof one)
				return 1;
			one = 1;
			took[i] = s->took;
		}
		if (write(1, took, n * sizeof took[0]) != (ssize_t)(n * sizeof took[0]))
			return 1;
	}
	return 0;
}
