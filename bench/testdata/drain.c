// The floor of datagrams: a loop around recvmmsg that counts what comes, in a file that it maps.
//
//	drain PORT FILE

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, BYTES = 1 << 16 };

int main(int argc, char **argv)
{
	static char data[BATCH][BYTES];
	static struct iovec v[BATCH];
	static struct mmsghdr batch[BATCH];
	if (argc != 3)
		return 2;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), file = open(argv[2], O_RDWR | O_CLOEXEC);
	uint64_t *count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (count == MAP_FAILED || bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
		perror("drain");
		return 1;
	}
	for (int i = 0; i < BATCH; i++) {
		v[i] = (struct iovec){data[i], BYTES};
		batch[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
	for (;;) {
		int n = recvmmsg(fd, batch, BATCH, MSG_WAITFORONE, NULL);
		if (n > 0)
			*count += n;
	}
}
