/*
 * Prime tells the prime number of the place that a client asks for: "5\n" is answered by "11\n". It finds all up to 20
 * million before it waits for events; with life = "zygote" each client has a process of its own that knows them.
 *
 *	cc -O2 -I sdk/c -o bin/prime-c examples/handlers/prime-c/prime.c
 */
#include "aem.h"

enum { LAST = 20000000 };
static char composite[LAST + 1];
static int primes[1300000], count;

static void warm_up(void)
{
	long n, m;

	for (n = 2; n <= LAST; n++) {
		if (composite[n])
			continue;
		primes[count++] = n;
		for (m = n * n; m <= LAST; m += n)
			composite[m] = 1;
	}
}

static int prime(const struct aem_event *e, void *ctx)
{
	char line[32];
	ssize_t n;
	int place, length;

	(void)ctx;
	if ((n = read(e->fd, line, sizeof line - 1)) <= 0)
		return aem_fail(e, "%s said nothing", aem_fact(e, "peer"));
	line[n] = 0;
	place = atoi(line);
	if (place < 1 || place > count)
		length = snprintf(line, sizeof line, "want 1 to %d\n", count);
	else
		length = snprintf(line, sizeof line, "%d\n", primes[place - 1]);
	return aem_write(e->fd, line, length) < 0 ? aem_fail(e, "write: %s", strerror(errno)) : AEM_DONE;
}

int main(void)
{
	warm_up();
	return aem_run(prime, NULL);
}
