/* A handler that attaches itself over the connection that it was started with. */
#include "evctl.h"

static void tick(int jid, int count)
{
	(void)jid, (void)count;
}

int main(void)
{
	struct timespec second = {1, 0};
	int jid;

	if (evinit("a", NULL) < 0 || (jid = evtimer(second, second, 0, tick)) < 0 || evctl(jid, EVJOBSTART, 0) < 0)
		return 1;
	enter_keepalive();
	return 0;
}
