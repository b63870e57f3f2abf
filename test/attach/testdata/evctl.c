/* evctl.c does all that evctl.h offers, and says what came of it, a line for each. */
#include "evctl.h"
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <sys/wait.h>

static int ticks, holds_run, deep = -1, accepted, said, ended, last_size = -1, closed, states, sock_in;
static char text[64];
static pid_t original;

static void must(int ok, const char *what)
{
	if (!ok) {
		printf("failed %s: %s (%s)\n", what, strerror(errno), evwhy());
		exit(1);
	}
}

/* why is the errno of a call that failed, 0 of one that did not. */
static int why(int result) { return result < 0 ? errno : 0; }

static struct timespec ms(int n)
{
	struct timespec t = {n / 1000, n % 1000 * 1000000};
	return t;
}

static void on_signal(int s) { (void)s; }

static void tick(int jid, int count)
{
	ticks += count;
	if (ticks >= 3) {
		must(evctl(jid, EVJOBSTOP, 0) == 0, "evctl in a handler");
		raise(SIGUSR1);
	}
}

static void once(int jid, int count)
{
	printf("once %d %d\n", jid > 0, count);
	raise(SIGUSR1);
}

static void held(int jid, int count)
{
	(void)jid;
	(void)count;
	deep = evdispatch(); /* a handler runs held */
	holds_run++;
}

static void read_one(int jid, int sockfd, const char *data, int size)
{
	if (size > 0) {
		said++;
		snprintf(text, sizeof text, "%.*s", size, data);
		return;
	}
	last_size = size + (evctl(jid, EVJOBSTOP, 0) < 0 && errno == ENOENT); /* it is removed by now */
	ended++;
	shutdown(sockfd, SHUT_RDWR);
}

static void close_one(int jid, int sockfd)
{
	(void)jid;
	closed += sockfd >= 0;
}

static void state_one(int jid, int sockfd, int from, int to)
{
	(void)jid;
	(void)sockfd;
	states += from == TCP_ESTABLISHED && to == TCP_CLOSE_WAIT;
}

static void sock_one(int jid, int sockfd, int conditions)
{
	char b[16];

	(void)jid;
	sock_in += conditions == POLLIN && recv(sockfd, b, sizeof b, MSG_DONTWAIT) > 0;
}

static void accept_one(int jid, int old_sockfd, int new_sockfd)
{
	static int connections;

	(void)jid;
	(void)old_sockfd;
	accepted++;
	if (connections++ > 0) {
		must(sockasync_sock(new_sockfd, 0, sock_one) > 0, "sockasync_sock");
		return;
	}
	must(sockasync_sk(new_sockfd, 0, state_one) > 0, "sockasync_sk");
	must(sockasync_read(new_sockfd, 0, read_one) > 0, "sockasync_read");
	must(sockasync_close(new_sockfd, 0, close_one) > 0, "sockasync_close");
}

/* until handles events as a program's own loop would. */
static void until(const int *word)
{
	while (*word == 0) {
		struct pollfd waits = {evfd(), POLLIN, 0};
		must(evdispatch() >= 0, "evdispatch");
		if (*word == 0 && poll(&waits, 1, 1000) == 0)
			evdispatch();
	}
}

static void timers(void)
{
	struct evstatus s;
	struct timespec second = {1, 0};
	int id = evtimer(ms(1), ms(5), 0, tick), other;

	must(id > 0, "evtimer");
	enter_keepalive();
	must(errno == EINTR, "keepalive");
	must(evctl(id, EVJOBLOOKUP, (unsigned long)&s) == 0, "lookup");
	printf("ticks %d %s %d %d\n", ticks >= 3, s.state, s.priority, s.detected >= 3);
	must(evctl(id, EVJOBPRIO, 15) == 0 && evctl(id, EVJOBLOOKUP, (unsigned long)&s) == 0, "priority");
	printf("priority %d\n", s.priority);
	printf("above %d", why(evctl(id, EVJOBPRIO, 25)));
	printf(" %s\n", evwhy());
	printf("filter %d", why(evctl(id, EVJOBFILTER, (unsigned long)"size < \"x\"")));
	printf(" %s\n", strstr(evwhy(), "invalid"));
	must(evctl(id, EVJOBFILTER, (unsigned long)"count > 1000") == 0, "filter");
	must(evctl(id, EVJOBTIMEOUT, (unsigned long)&second) == 0 && evctl(id, EVJOBCLEAN, 0) == 0, "timeout, clean");
	other = evtimer(ms(1000), ms(1000), EVF_STOPPED, tick);
	must(evctl(other, EVJOBLOOKUP, (unsigned long)&s) == 0, "lookup");
	printf("born %s\n", s.state);
	{
		const int both[] = {id, other};
		struct evstatus two[2];
		must(evctl_all(both, 2, EVJOBSTART, 0) == 0 && evctl_all(both, 2, EVJOBLOOKUP, (unsigned long)two) == 0, "both");
		printf("both %s %s %d %d\n", two[0].state, two[1].state, two[0].priority, two[1].priority);
		must(evctl_all(both, 2, EVJOBSHTDN, 0) == 0, "remove both");
	}
	printf("stale %d\n", why(evctl(id, EVJOBSTART, 0)));
	printf("another id %d\n", evtimer(ms(1000), ms(1000), 0, tick) != id);
	printf("flags %d\n", why(evtimer(ms(1), ms(1), 1, tick)));
	id = evtimer(ms(1), ms(0), 0, once);
	enter_keepalive();
	printf("single shot is gone %d\n", why(evctl(id, EVJOBSTART, 0)));
	must(evctl(-1, EVJOBSHTDN, 0) == 0, "remove all");
}

/* strictly reports whether holding off is done without a system call: any would end the process. */
static int strictly(void)
{
	int status = -1, i;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		for (i = 0; i < 1000; i++)
			evhold();
		for (i = 0; i < 1000; i++)
			evrelease();
		syscall(SYS_exit, 0);
	}
	waitpid(pid, &status, 0);
	return status == 0;
}

static void holds(void)
{
	int i, early = 0;

	evhold();
	must(evtimer(ms(1), ms(0), 0, held) > 0, "evtimer");
	evhold();
	for (i = 0; i < 20; i++) {
		usleep(5000);
		early += evdispatch();
		if (i == 10)
			evrelease();
	}
	early += holds_run;
	evrelease();
	until(&holds_run);
	printf("held %d %d %d strictly %d\n", early, holds_run, deep, strictly());
}

static int dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	must(connect(fd, (const struct sockaddr *)to, sizeof *to) == 0, "connect");
	return fd;
}

static void sockets(void)
{
	struct sockaddr_in at, peer, own;
	int size = sizeof peer, sfd = socket(AF_INET, SOCK_STREAM, 0), client;
	socklen_t length = sizeof at;

	memset(&at, 0, sizeof at);
	at.sin_family = AF_INET;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(sfd, (struct sockaddr *)&at, sizeof at) == 0 && listen(sfd, 5) == 0, "listen");
	must(getsockname(sfd, (struct sockaddr *)&at, &length) == 0, "getsockname");
	must(sockasync_accept(sfd, (struct sockaddr *)&peer, &size, 0, accept_one) > 0, "sockasync_accept");
	client = dial(&at);
	length = sizeof own;
	getsockname(client, (struct sockaddr *)&own, &length);
	until(&accepted);
	printf("accept %d %d\n", accepted, peer.sin_port == own.sin_port);
	must(write(client, "hello", 5) == 5, "write");
	until(&said);
	printf("read %s\n", text);
	close(client);
	until(&ended);
	until(&closed);
	until(&states);
	printf("ended %d %d closed %d states %d\n", ended, last_size, closed, states);
	accepted = 0;
	client = dial(&at);
	until(&accepted);
	must(write(client, "x", 1) == 1, "write");
	until(&sock_in);
	printf("sock %d\n", sock_in);
	close(client);
}

static void in_copy(int jid, int count)
{
	(void)jid;
	printf("in a copy %d %d %d%s", getpid() != original, getppid() == original, count, getppid() == original ? "" : "\n");
}

/* copies has handlers run in copies of the program: one that it waits for, and one that it need not. */
static void copies(void)
{
	int status = -1, id;

	original = getpid();
	must(evtimer(ms(1), ms(0), EVF_FORK, in_copy) > 0, "evtimer");
	printf("once, "); /* and not by the copy, too */
	while (wait(&status) < 0)
		must(evdispatch() >= 0 && usleep(1000) == 0, "evdispatch");
	printf("\nwaited for %d\n", status);
	must((id = evtimer(ms(1), ms(0), EVF_FORK | EVF_NOCLDWAIT, in_copy)) > 0, "evtimer");
	while (evctl(id, EVJOBSTART, 0) == 0) /* it is there until it was copied */
		must(evdispatch() >= 0 && usleep(1000) == 0, "evdispatch");
	printf("not to be waited for %d\n", wait(NULL) < 0 && errno == ECHILD);
}

static void serve(int jid, int old_sockfd, int new_sockfd)
{
	(void)jid;
	(void)old_sockfd;
	must(write(new_sockfd, "hi", 2) == 2, "write");
}

/* copies_serve has connections served in copies: they end with those. */
static void copies_serve(void)
{
	struct sockaddr_in at;
	socklen_t length = sizeof at;
	int id, client, second, n = 0, got, sfd = socket(AF_INET, SOCK_STREAM, 0);
	char heard[8];

	memset(&at, 0, sizeof at);
	at.sin_family = AF_INET;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(sfd, (struct sockaddr *)&at, sizeof at) == 0 && listen(sfd, 5) == 0, "listen");
	must(getsockname(sfd, (struct sockaddr *)&at, &length) == 0, "getsockname");
	must((id = sockasync_accept(sfd, NULL, NULL, EVF_FORK | EVF_ONESHOT, serve)) > 0, "sockasync_accept");
	client = dial(&at);
	second = dial(&at); /* which waits by then, and is not served */
	while (wait(NULL) < 0)
		must(evdispatch() >= 0 && usleep(1000) == 0, "evdispatch");
	while ((got = read(client, heard + n, sizeof heard - n)) > 0)
		n += got;
	close(client);
	close(sfd);
	printf("a copy served %.*s %d, once %d, one %d\n", n, heard, got, why(evctl(id, EVJOBSTART, 0)), read(second, heard, sizeof heard) <= 0);
	close(second);
}

static int reads, last_error, conditions_seen;

static void read_pair(int jid, int sockfd, const char *data, int size)
{
	(void)jid;
	(void)sockfd;
	(void)data;
	reads++;
	last_error = size < 0 ? errno : 0;
}

static void sock_pair(int jid, int sockfd, int conditions)
{
	(void)sockfd;
	conditions_seen = conditions;
	must(evctl(jid, EVJOBSHTDN, 0) == 0, "remove");
}

/* pairs has data that is gone when its event is handled, a connection that ends with an error, and one whose peer ends its side. */
static void pairs(void)
{
	struct evstatus s;
	int ends[2], id;
	char byte;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && (id = sockasync_read(ends[0], 0, read_pair)) > 0, "sockasync_read");
	must(write(ends[1], "x", 1) == 1, "write");
	do
		must(evctl(id, EVJOBLOOKUP, (unsigned long)&s) == 0, "lookup");
	while (s.running == 0);
	must(read(ends[0], &byte, 1) == 1, "read it before");
	for (; s.done == 0; must(evctl(id, EVJOBLOOKUP, (unsigned long)&s) == 0, "lookup"))
		must(evdispatch() >= 0, "evdispatch");
	printf("read by another %d %d", reads, why(evctl(id, EVJOBSTART, 0)));
	must(write(ends[0], "x", 1) == 1, "write");
	close(ends[1]); /* with data unread */
	until(&reads);
	printf(", error %d, gone %d", last_error == ECONNRESET, why(evctl(id, EVJOBSTART, 0)));
	close(ends[0]);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && sockasync_sock(ends[0], 0, sock_pair) > 0, "sockasync_sock");
	must(shutdown(ends[1], SHUT_WR) == 0, "shutdown");
	until(&conditions_seen);
	printf(", ended %d\n", conditions_seen == (POLLIN | POLLRDHUP));
	close(ends[0]);
	close(ends[1]);
}

static struct {
	int constructs, destructs, deaths, wrong, how;
} around;

static void *construct(int jid, int sockfd)
{
	around.wrong += getpid() != original || sockfd != -1;
	around.constructs++;
	return malloc((size_t)jid);
}

static void destruct(int jid, void *made, int died)
{
	around.wrong += getpid() != original || ev.held == 0 || !made || around.constructs != around.destructs + 1;
	free(made);
	around.destructs++;
	around.deaths += died;
	raise(jid ? SIGUSR1 : 0); /* which ends keepalive: it slept until now, if the handler is in a copy */
}

static void surrounded(int jid, int count)
{
	(void)jid;
	(void)count;
	around.wrong += around.constructs != around.destructs + 1;
	if (around.how)
		raise(around.how);
}

/* arounds has handlers with constructors and destructors return, and die in copies: of what a signal does by default, too,
 * which no copy is to have blocked. */
static void arounds(void)
{
	static const struct {
		int flags, how;
	} each[] = {{0, 0}, {EVF_FORK, 0}, {EVF_FORK, SIGKILL}, {EVF_FORK | EVF_NOCLDWAIT, 0}, {EVF_FORK | EVF_NOCLDWAIT, SIGTERM}};
	int before = dup(0), after;
	size_t i;

	close(before);
	for (i = 0; i < sizeof each / sizeof *each; i++) {
		int id = evtimer(ms(1), ms(0), each[i].flags | EVF_STOPPED, surrounded);
		around.how = each[i].how;
		must(evaround(id, construct, destruct) == 0 && evctl(id, EVJOBSTART, 0) == 0, "evaround");
		while (around.destructs == (int)i) {
			enter_keepalive();
			must(errno == EINTR, "keepalive");
		}
		while (wait(NULL) > 0)
			;
	}
	printf("around %d %d died %d wrong %d stale %d\n", around.constructs, around.destructs, around.deaths, around.wrong, why(evaround(1, NULL, NULL)));
	must((after = dup(0)) == before, "descriptors stay as they are");
	close(after);
	around.how = 0;
	must(evaround(evtimer(ms(1), ms(0), EVF_FORK, surrounded), NULL, destruct) == 0, "evaround");
	while (wait(NULL) < 0)
		must(evdispatch() >= 0 && usleep(1000) == 0, "evdispatch");
	evhold();
	must(evdispatch() == 0, "evdispatch");
	printf("held off %d", around.destructs);
	evrelease();
	must(evdispatch() == 0, "evdispatch");
	printf(", then %d\n", around.destructs);
}

/* forks has a copy of the program, which begins with nothing and is another agent. */
static void forks(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(evtimer(ms(1000), ms(1000), 0, tick) != 1); /* its first id */
	waitpid(pid, &status, 0);
	printf("fork %d %d\n", status, evctl(-1, EVJOBSHTDN, 0));
}

int main(int argc, char **argv)
{
	struct sigaction a;

	if (argc > 1)
		must(evinit("a", argv[1]) == 0 && why(evinit("a", NULL)) == EALREADY, "evinit");

	setvbuf(stdout, NULL, _IOLBF, 0);
	memset(&a, 0, sizeof a);
	a.sa_handler = on_signal;
	sigaction(SIGUSR1, &a, NULL);
	timers();
	holds();
	sockets();
	forks();
	pairs();
	copies_serve();
	copies();
	arounds();
	puts("all");
	return 0;
}
