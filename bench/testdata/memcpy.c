// The floor of copying: memcpy from ordinary memory into memory made as an arena is.
//
//	memcpy SIZE COPIES
//
// A sample is the mean of COPIES copies.

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { HUGE = 2 << 20, MOST = 1 << 12 };

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static char *memory(size_t size)
{
	char *m = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return m == MAP_FAILED ? exit(1), NULL : m;
}

int main(int argc, char **argv)
{
	size_t size = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	int copies = argc == 3 ? atoi(argv[2]) : 0;
	if (size == 0 || copies == 0)
		return 2;
	char *from = memory(size);
	memset(from, 1, size);
	char *to = (char *)(((uintptr_t)memory(size) + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	madvise(to, size, MADV_HUGEPAGE); // a kernel without huge pages refuses
	memset(to, 0, size);
	static int64_t took[MOST];
	uint32_t n;
	while (read(0, &n, sizeof n) == sizeof n && n <= MOST) {
		for (uint32_t i = 0; i < n; i++) {
			int64_t start = now();
			for (int c = 0; c < copies; c++) {
				memcpy(to, from, size);
				__asm__ volatile("" : : "r"(to), "r"(from) : "memory"); // each copy counts
			}
			took[i] = (now() - start) / copies;
		}
		if (write(1, took, n * sizeof took[0]) != (ssize_t)(n * sizeof took[0]))
			return 1;
	}
	return 0;
}
