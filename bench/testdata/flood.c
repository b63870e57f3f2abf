// It sends datagrams of 1 KiB to a port as fast as it can, for 200 ms each time that it is asked, 64 with a call. A sample is
// how long it did.
//
//	flood PORT

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, BYTES = 1024, FOR_NS = 200000000 };

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(argc == 2 ? atoi(argv[1]) : 0), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	static char data[BYTES];
	static struct mmsghdr batch[BATCH];
	struct iovec v = {data, BYTES};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		perror("flood");
		return 1;
	}
	for (int i = 0; i < BATCH; i++)
		batch[i].msg_hdr = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1};
	uint32_t n;
	while (read(0, &n, sizeof n) == sizeof n) {
		for (uint32_t i = 0; i < n; i++) {
			int64_t start = now(), took = 0;
			for (; took < FOR_NS; took = now() - start)
				sendmmsg(fd, batch, BATCH, 0); // what is dropped is dropped
			if (write(1, &took, sizeof took) != sizeof took)
				return 1;
		}
	}
	return 0;
}
