// A process to copy into: it makes an arena as docs/abi.md wants it, of the size it is given, writes the arena's address to
// standard output, and waits for the end of its input.

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HUGE = 2 << 20 };

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	char *mapping = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (size == 0 || mapping == MAP_FAILED)
		return 1;
	uint64_t arena = ((uint64_t)mapping + HUGE - 1) & ~(uint64_t)(HUGE - 1);
	madvise((void *)arena, size, MADV_HUGEPAGE); // a kernel without huge pages refuses
	if (madvise((void *)arena, size, MADV_POPULATE_WRITE) || write(1, &arena, sizeof arena) != sizeof arena)
		return 1;
	char end;
	return read(0, &end, 1) != 0;
}
