/* detached.c has two events at once, of which neither's handler is called in the other's; then a handler runs for longer than it
 * may, which ends what the program has with the supervisor, and the program lives on. */
#include "evctl.h"

static int depth, deepest, calls;

static void at_once(int jid, int count)
{
	(void)jid, (void)count;
	if (++depth > deepest)
		deepest = depth;
	calls++;
	deepest += evdispatch();
	depth--;
}

static void long_one(int jid, int count)
{
	struct pollfd channel = {aem_at.channel, 0, 0};

	(void)jid, (void)count;
	while (poll(&channel, 1, -1) <= 0 || !(channel.revents & POLLHUP))
		;
}

int main(void)
{
	const struct timespec soon = {0, 1000000}, never = {0, 0}, short_time = {0, 100000000};
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < 2; i++)
		evtimer(soon, never, 0, at_once);
	while (ev.pid && aem_load(&ev.in.page->head) < 2)
		usleep(1000);
	while (calls < 2)
		evdispatch();
	printf("depth %d\n", deepest);
	i = evtimer(soon, never, EVF_STOPPED, long_one);
	if (evctl(i, EVJOBTIMEOUT, (unsigned long)&short_time) < 0 || evctl(i, EVJOBSTART, 0) < 0)
		return 1;
	enter_keepalive();
	printf("ended %d", errno == EPIPE);
	printf(", %d", evdispatch() < 0 && errno == EPIPE);
	printf(", %d\n", evtimer(soon, never, 0, at_once) < 0);
	return 0;
}
