/*
 * Echo sends back what a client sends until the client ends. It is a handler for socket.accept:
 *
 *	cc -O2 -I sdk/c -o bin/echo-c examples/handlers/echo-c/echo.c
 */
#include "aem.h"

static int echo(const struct aem_event *e, void *ctx)
{
	char buffer[4096];
	ssize_t n;

	(void)ctx;
	while ((n = read(e->fd, buffer, sizeof buffer)) > 0)
		if (aem_write(e->fd, buffer, n) < 0)
			return aem_fail(e, "write to %s: %s", aem_fact(e, "peer"), strerror(errno));
	return n < 0 ? AEM_RETRY : AEM_DONE;
}

int main(void) { return aem_run(echo, NULL); }
