/*
 * select.c: events and select in one program, each where it is simpler. The program's own loop waits by select for lines of
 * standard input and for events at once; a handler waits by select for what its client says, a second at most.
 *
 *	cc -I sdk/c -o select examples/select.c
 *	AEM_APP=server ./select 7013
 *
 * beside a supervisor whose file has an [app.server]. Clients are told the last line of standard input. It ends with that.
 */
#include "evctl.h"
#include <sys/select.h>

static char greeting[128] = "hello";
static int ticks;

/* ready waits until one of two descriptors can be read, of which b may be -1; it is which, or -1 when timeout has passed. */
static int ready(int a, int b, struct timeval *timeout)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(a, &set);
	if (b >= 0)
		FD_SET(b, &set);
	if (select((a > b ? a : b) + 1, &set, NULL, NULL, timeout) <= 0)
		return -1;
	return FD_ISSET(a, &set) ? a : b;
}

static void accepted(int jid, int old_sockfd, int new_sockfd)
{
	struct timeval second = {1, 0};
	char name[64], answer[256];
	ssize_t n = -1;

	(void)jid, (void)old_sockfd;
	if (ready(new_sockfd, -1, &second) == new_sockfd)
		n = read(new_sockfd, name, sizeof name);
	n = n > 0 ? snprintf(answer, sizeof answer, "%s %.*s", greeting, (int)n, name) : snprintf(answer, sizeof answer, "%s whoever you are\n", greeting);
	aem_write(new_sockfd, answer, n);
	close(new_sockfd);
}

static void tick(int jid, int count)
{
	(void)jid;
	ticks += count;
}

/* listening is a socket on a port of this host. */
static int listening(int port)
{
	struct sockaddr_in to = {0};
	int on = 1, sfd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_family = AF_INET;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(port);
	if (sfd < 0 || setsockopt(sfd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || bind(sfd, (struct sockaddr *)&to, sizeof to) || listen(sfd, 5)) {
		perror("listen");
		exit(1);
	}
	return sfd;
}

int main(int argc, char **argv)
{
	struct timespec every = {0, 100 * 1000 * 1000};
	ssize_t n;

	if (sockasync_accept(listening(argc > 1 ? atoi(argv[1]) : 7013), NULL, NULL, 0, accepted) < 0 || evtimer(every, every, 0, tick) < 0) {
		perror(evwhy());
		return 1;
	}
	printf("registered\n");
	fflush(stdout);
	for (;;) {
		int handled = evdispatch();

		if (handled < 0) {
			perror(evwhy());
			return 1;
		}
		if (handled > 0 || ready(STDIN_FILENO, evfd(), NULL) != STDIN_FILENO)
			continue;
		if ((n = read(STDIN_FILENO, greeting, sizeof greeting - 1)) <= 0)
			break;
		greeting[n] = 0;
		greeting[strcspn(greeting, "\n")] = 0;
		printf("%s, after %d ticks\n", greeting, ticks);
		fflush(stdout);
	}
	return 0;
}
