// The C handler of the benchmarks: it appends to the file it is given when its event was detected, when its first line
// ran, and who it is. Without a file it only answers.
//
//	stamp AHEAD [FILE]

#include "aem.h"
#include <time.h>

static int stamp(const struct aem_event *e, void *ctx)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	static int file = -1;
	const char *name = ctx;
	if (!name)
		return AEM_DONE;
	if (file < 0 && (file = open(name, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0)
		return aem_fail(e, "open %s: %s", name, strerror(errno));
	int64_t line[3] = {e->time_ns, now.tv_sec * 1000000000LL + now.tv_nsec, getpid()};
	return write(file, line, sizeof line) == sizeof line ? AEM_DONE : AEM_FAIL;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	const struct aem_program p = {.run = stamp, .ctx = argv[2], .ahead = atoi(argv[1])};
	return aem_run_program(&p);
}
