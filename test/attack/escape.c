/* Forks twice into sessions of its own, deaf to signals that can be, and ends well: what it left goes on. */
#include "attack.h"
#include <signal.h>

int main(void)
{
    for (int i = 0; i < 8; i++) {
        if (fork() != 0)
            continue;
        setsid();
        if (fork() != 0)
            _exit(0);
        for (int sig = 1; sig < NSIG; sig++)
            signal(sig, SIG_IGN);
        if (chdir("/") < 0)
            _exit(1);
        for (int fd = 0; fd < 64; fd++)
            close(fd);
        for (;;)
            pause();
    }
    return 0;
}
