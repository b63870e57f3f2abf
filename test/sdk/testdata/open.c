/*
 * Open tells which descriptors it had when it began, and which it has for an event. With an argument it is no handler of
 * ours: it writes the first to the file of that name.
 */
#include "aem.h"

enum { MOST = 4096, ROOM = 1024 };

static char begun[ROOM];

static void list(char *text)
{
	int fd, n = 0;

	for (fd = 0; fd < MOST; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n += snprintf(text + n, (size_t)(ROOM - n), "%d ", fd);
}

static int tell(const struct aem_event *e, void *ctx)
{
	char now[ROOM], text[3 * ROOM];

	(void)ctx;
	list(now);
	return aem_reply(e, text, (size_t)snprintf(text, sizeof text, "%s/ %s", begun, now)) ? AEM_FAIL : AEM_DONE;
}

int main(int argc, char **argv)
{
	FILE *f;

	list(begun);
	if (argc < 2)
		return aem_run(tell, NULL);
	if (!(f = fopen(argv[1], "w")) || fputs(begun, f) < 0)
		return 1;
	return fclose(f) != 0;
}
