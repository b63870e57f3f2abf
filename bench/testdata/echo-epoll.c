// The floor of echo servers: epoll, and nothing but it. Each message goes back in one call after the one that read it.
//
//	echo-epoll PORT

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 128 };

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc == 2 ? atoi(argv[1]) : 0), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int epfd = epoll_create1(EPOLL_CLOEXEC), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	struct epoll_event e = {EPOLLIN, {.fd = fd}}, ready[BATCH];
	static char data[1 << 16];
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1024) < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e) < 0) {
		perror("echo-epoll");
		return 1;
	}
	for (;;) {
		int k = epoll_wait(epfd, ready, BATCH, -1);
		for (int i = 0; i < k; i++) {
			int c = ready[i].data.fd;
			if (c == fd) {
				c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
				e.data.fd = c;
				setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
				epoll_ctl(epfd, EPOLL_CTL_ADD, c, &e);
				continue;
			}
			ssize_t n = recv(c, data, sizeof data, MSG_DONTWAIT);
			if (n == 0 || send(c, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
				close(c);
		}
	}
}
