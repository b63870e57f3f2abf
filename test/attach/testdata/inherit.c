/* inherit.c forks, and says what its forks have of what it had registered, a line for each. */
#include "evctl.h"
#include <sys/wait.h>

static int ticks;

static void tick(int jid, int count)
{
	(void)jid;
	ticks += count;
	raise(SIGUSR1);
}

static void accepted(int jid, int old_sockfd, int new_sockfd) { (void)jid, (void)old_sockfd, (void)new_sockfd; }

static void on_signal(int s) { (void)s; }

static int why(int result) { return result < 0 ? errno : 0; }

/* descriptors is how many are open. */
static int descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* child has the ids of its parent's. */
static int child(const int *ids)
{
	const struct timespec moment = {0, 1000000}, hour = {3600, 0};
	struct evstatus s;
	int before = descriptors();

	printf("inherited %d", evinherit());
	printf(", descriptors %d", descriptors() - before);
	printf(", again %d\n", why(evinherit()));
	printf("kept %d %s", why(evctl(ids[0], EVJOBLOOKUP, (unsigned long)&s)), s.state);
	printf(", not kept %d, removed %d\n", why(evctl(ids[1], EVJOBLOOKUP, (unsigned long)&s)), why(evctl(ids[2], EVJOBLOOKUP, (unsigned long)&s)));
	ids++;
	if (evctl(-1, EVJOBSTART, 0) < 0)
		return 1;
	enter_keepalive();
	printf("ticks %d, fresh %d\n", ticks > 0, evtimer(hour, hour, 0, tick) > 0 && evtimer(moment, hour, 0, tick) > 0);
	puts("look");
	return getchar() == EOF; /* a line */
}

int main(void)
{
	const struct timespec period = {0, 5000000};
	struct sigaction a;
	int ids[3], i, status = -1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(stdin, NULL, _IONBF, 0);
	memset(&a, 0, sizeof a);
	a.sa_handler = on_signal;
	sigaction(SIGUSR1, &a, NULL);
	printf("nobody %d\n", why(evinherit()));
	for (i = 0; i < 3; i++)
		ids[i] = evtimer(period, period, EVF_STOPPED | (i == 1 ? 0 : EVF_INHERIT), tick);
	printf("attached %d, refused %d\n", why(evinherit()), why(sockasync_accept(socket(AF_UNIX, SOCK_STREAM, 0), NULL, NULL, EVF_INHERIT, accepted)));
	evctl(ids[2], EVJOBSHTDN, 0);
	evhold(); /* which no fork is to find */
	if (fork() == 0)
		return child(ids);
	evrelease();
	wait(&status);
	printf("child %d, parent %d\n", status, ticks);
	if (fork() == 0) { /* it lives longer */
		getchar();
		printf("orphan %d\n", why(evinherit()));
		printf("afresh %d\n", evtimer(period, period, 0, tick));
		return 0;
	}
	return 0;
}
