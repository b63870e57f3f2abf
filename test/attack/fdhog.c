/* Opens everything that is a descriptor, until it may have no more. */
#include "attack.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

int main(void)
{
    struct rlimit limit = {100000, 100000};
    int fds[2], opened = 0;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        broke("a higher limit of descriptors");
    while (pipe(fds) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0 && eventfd(0, 0) >= 0 &&
           epoll_create1(0) >= 0 && open("/dev/null", O_RDONLY) >= 0)
        if (++opened > 100)
            broke("700 descriptors");
    return errno == EMFILE ? 1 : BROKE;
}
