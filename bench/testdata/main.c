// born.c with a C library before it: it says when main ran, on descriptor 1, and ends.

#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t ns = t.tv_sec * 1000000000LL + t.tv_nsec;
	return write(1, &ns, sizeof ns) != sizeof ns;
}
