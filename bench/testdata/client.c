// The load client: connections one after the other, or so many at once, each sends a line and reads until the server
// closes. A sample is from before connect to after close.
//
//	client PORT line|http PACE AT_ONCE
//
// PACE is from one connection's start to the next's in microseconds; 0 goes on at once.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 12, AT_ONCE = 64 };

static const char line[] = "0123456789abcdef0123456789abcdef\n";

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

static int64_t once(const struct sockaddr_in *to, const char *request)
{
	static const struct timeval patience = {10, 0};
	char reply[8192];
	size_t n = 0, want = strlen(line);
	int64_t start = now();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
		fail("client: socket");
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
		fail("client: connect");
	if (write(fd, request, strlen(request)) < 0)
		fail("client: write");
	for (ssize_t got; (got = read(fd, reply + n, sizeof reply - n)) != 0; n += got)
		if (got < 0)
			fail("client: read");
	close(fd);
	int64_t took = now() - start;
	if (n < want || memcmp(reply + n - want, line, want) != 0) {
		fprintf(stderr, "client: another answer than the line that was sent: %.*s\n", (int)n, reply);
		exit(1);
	}
	return took;
}

static void sleep_until(int64_t at)
{
	struct timespec t = {at / 1000000000, at % 1000000000};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static struct sockaddr_in to = {.sin_family = AF_INET};
static char request[256];
static int64_t pace, began, took[MOST];
static uint32_t n;
static atomic_uint next;

// work makes connections until there are n.
static void *work(void *unused)
{
	(void)unused;
	for (uint32_t i; (i = atomic_fetch_add(&next, 1)) < n;) {
		if (pace)
			sleep_until(began + i * pace);
		took[i] = once(&to, request);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t others[AT_ONCE];
	int at_once = argc == 5 ? atoi(argv[4]) : 0;
	if (at_once < 1 || at_once > AT_ONCE)
		return 2;
	to.sin_port = htons(atoi(argv[1]));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	pace = atoll(argv[3]) * 1000;
	if (strcmp(argv[2], "http") == 0)
		snprintf(request, sizeof request, "GET /?%.*s HTTP/1.0\r\n\r\n", (int)strlen(line) - 1, line);
	else
		strcpy(request, line);
	while (read(0, &n, sizeof n) == sizeof n && n <= MOST) {
		next = 0;
		began = now();
		for (int i = 1; i < at_once; i++)
			if (pthread_create(&others[i], NULL, work, NULL) != 0)
				fail("client: pthread_create");
		work(NULL);
		for (int i = 1; i < at_once; i++)
			pthread_join(others[i], NULL);
		if (write(1, took, n * sizeof took[0]) != (ssize_t)(n * sizeof took[0]))
			return 1;
	}
	return 0;
}
