/* Sends every signal, over and over, to the supervisor, to another app, to their groups, and to all that it can. */
#include "attack.h"
#include <signal.h>

int main(void)
{
    int pid[2];
    targets(pid);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_IGN); /* it sends them to itself too */
    for (int round = 0; round < 100; round++)
        for (int sig = 1; sig < NSIG; sig++) {
            for (int i = 0; i < 2; i++)
                if (kill(pid[i], sig) == 0 || kill(-pid[i], sig) == 0)
                    broke("a signal to others");
            kill(-1, sig); /* reaches its own user's at most */
        }
    return 0;
}
