// A handler that counts its events in a file that it maps.
//
//	count AHEAD FILE

#include "aem.h"

static int count(const struct aem_event *e, void *ctx)
{
	static uint64_t *counter;
	if (!counter) {
		int file = open(ctx, O_RDWR | O_CLOEXEC);
		counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		if (counter == MAP_FAILED)
			return aem_fail(e, "map %s: %s", (const char *)ctx, strerror(errno));
	}
	++*counter;
	return AEM_DONE;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const struct aem_program p = {.run = count, .ctx = argv[2], .ahead = atoi(argv[1])};
	return aem_run_program(&p);
}
