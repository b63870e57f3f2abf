// The same as line.c for capsules and residents.

#include "aem.h"

static int answer(const struct aem_event *e, void *ctx)
{
	char line[4096];
	size_t n = 0;
	(void)ctx;
	do {
		ssize_t got = read(e->fd, line + n, sizeof line - n);
		if (got <= 0)
			return got < 0 ? AEM_FAIL : AEM_DONE; // who only looks whether somebody is there
		n += got;
	} while (!memchr(line, '\n', n) && n < sizeof line);
	return aem_write(e->fd, line, n) < 0 ? AEM_FAIL : AEM_DONE;
}

int main(void) { return aem_run(answer, NULL); }
