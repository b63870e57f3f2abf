/*
 * accept.c: the asynchronous server of AEM's requirements (OSDL, draft 0.6, 2.1.3), with evctl.h for AEM's header. It is one
 * flow of execution: connections are accepted, and their data is read, between its own lines.
 *
 *	cc -I sdk/c -o accept examples/accept.c
 *	AEM_APP=server ./accept 127.0.0.1 7012
 *
 * beside a supervisor whose file has an [app.server]. It ends by a signal.
 */
#include "evctl.h"

static struct sockaddr_in c_addr;

/*
 * This event handler is executed when a client has said something, and echoes it.
 */
static void said(int jid, int sockfd, const char *data, int size)
{
	if (size > 0 && aem_write(sockfd, data, size) >= 0)
		return;
	if (size > 0)
		evctl(jid, EVJOBSHTDN, 0); /* else it is removed already */
	close(sockfd);
}

/*
 * This event handler is executed upon connection.
 */
static void accepted(int jid, int old_sockfd, int new_sockfd)
{
	char peer[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &c_addr.sin_addr, peer, sizeof peer);
	printf("event %d, socket %d: %s came\n", jid, old_sockfd, peer);
	if (sockasync_read(new_sockfd, 0, said) < 0) {
		perror(evwhy());
		close(new_sockfd);
	}
}

int main(int argc, char **argv)
{
	int sfd;
	int id;
	int c_len;
	int on = 1;
	struct sockaddr_in s_addr;

	c_len = sizeof (c_addr);
	setvbuf(stdout, NULL, _IOLBF, 0);

	if ((sfd = socket (AF_INET, SOCK_STREAM, IPPROTO_TCP)) < 0) {
		perror ("socket");
		exit (1);
	}
	setsockopt (sfd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof (on));

	memset (&s_addr, 0, sizeof (s_addr));
	s_addr.sin_family      = AF_INET;
	s_addr.sin_addr.s_addr = inet_addr (argc > 1 ? argv[1] : "127.0.0.1");
	s_addr.sin_port        = htons (argc > 2 ? atoi (argv[2]) : 7012);

	if (bind (sfd, (struct sockaddr *)&s_addr, sizeof (s_addr)) < 0) {
		perror ("bind");
		exit (1);
	}

	listen (sfd, 5);

	/* Event registration for accept - non blocking system call */
	id = sockasync_accept (sfd, (struct sockaddr *)&c_addr, &c_len,
				0, accepted);
	if (id < 0) {
		perror (evwhy ());
		exit (1);
	}
	printf ("registered %d\n", id);

	enter_keepalive ();
	return 0;
}
