/* Around writes to the file that is its first argument when its constructor, its function and its destructor are called, and
 * for which attempt. What each does then its event's data says, or its second argument where there is none, as "run 1=k":
 * k kills the process, h hangs, r and f end the attempt. */
#include "aem.h"

static char **args;

static int step(const struct aem_event *e, const char *what)
{
	const char *plan = e->size > 0 ? (const char *)e->data : args[2], *at;
	char line[100];
	int n, fd = open(args[1], O_WRONLY | O_APPEND);

	n = snprintf(line, sizeof line, "%s %u%s%s\n", what, e->attempt, e->interrupted ? " " : "", e->interrupted ? e->interrupted : "");
	if (write(fd, line, n) != n)
		abort();
	close(fd);
	line[n - 1] = '=';
	at = plan ? (const char *)memmem(plan, e->size > 0 ? e->size : strlen(plan), line, n) : NULL;
	switch (at ? at[n] : 0) {
	case 'k':
		raise(SIGKILL);
		break;
	case 'h':
		for (;;)
			pause();
	case 'r':
		return aem_retry(e, 0, "%s said so", what);
	case 'f':
		return aem_fail(e, "%s said so", what);
	}
	return AEM_DONE;
}

static int construct(const struct aem_event *e, void *ctx) { return (void)ctx, step(e, "construct"); }
static int run(const struct aem_event *e, void *ctx) { return (void)ctx, step(e, "run"); }
static int destruct(const struct aem_event *e, void *ctx) { return (void)ctx, step(e, "destruct"); }

int main(int argc, char **argv)
{
	const struct aem_program p = {run, construct, destruct, NULL, 0, NULL};

	(void)argc;
	args = argv;
	return aem_run_program(&p);
}
