// The client of echo servers: it keeps connections, and has one message of 64 bytes on its way on each, and beside them
// idle ones. A sample is from a message's being sent to its coming back.
//
//	pingpong PORT CONNECTIONS IDLE

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 16, MESSAGE = 64, CONNECTIONS = 1024 };

struct connection {
	int fd;
	int got; // of the message
	int64_t sent;
};

static struct connection all[CONNECTIONS];
static int64_t took[MOST];
static char message[MESSAGE];

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void ping(struct connection *c)
{
	c->got = 0;
	c->sent = now();
	if (send(c->fd, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
		fail("pingpong: send");
}

// pong reports whether the whole message is back.
static int pong(struct connection *c)
{
	char back[MESSAGE];
	ssize_t n = recv(c->fd, back, MESSAGE - c->got, 0);
	if (n <= 0 || memcmp(back, message + c->got, n) != 0)
		fail("pingpong: another answer than what was sent");
	c->got += n;
	return c->got == MESSAGE;
}

static int dial(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
		fail("pingpong: connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

int main(int argc, char **argv)
{
	int connections = argc == 4 ? atoi(argv[2]) : 0, epfd = epoll_create1(EPOLL_CLOEXEC);
	struct rlimit descriptors;
	if (connections < 1 || connections > CONNECTIONS)
		return 2;
	getrlimit(RLIMIT_NOFILE, &descriptors);
	descriptors.rlim_cur = descriptors.rlim_max;
	setrlimit(RLIMIT_NOFILE, &descriptors);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	for (int i = 0; i < MESSAGE; i++)
		message[i] = i;
	for (int i = 0; i < connections; i++) {
		struct epoll_event e = {EPOLLIN, {.ptr = &all[i]}};
		all[i].fd = dial(&to);
		epoll_ctl(epfd, EPOLL_CTL_ADD, all[i].fd, &e);
	}
	for (int i = 0, idle = atoi(argv[3]); i < idle; i++)
		dial(&to);
	uint32_t n;
	while (read(0, &n, sizeof n) == sizeof n && n <= MOST) {
		uint32_t sent = 0, back = 0;
		for (; sent < n && sent < (uint32_t)connections; sent++)
			ping(&all[sent]);
		while (back < n) {
			struct epoll_event ready[CONNECTIONS];
			int k = epoll_wait(epfd, ready, CONNECTIONS, 10000);
			if (k <= 0)
				fail("pingpong: no answer");
			for (int i = 0; i < k; i++) {
				struct connection *c = ready[i].data.ptr;
				if (!pong(c))
					continue;
				took[back++] = now() - c->sent;
				if (sent++ < n)
					ping(c);
			}
		}
		if (write(1, took, n * sizeof took[0]) != (ssize_t)(n * sizeof took[0]))
			return 1;
	}
	return 0;
}
