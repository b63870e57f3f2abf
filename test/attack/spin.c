/* Keeps processors busy, as many as there are and more. */
#include "attack.h"

int main(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0)
            break;
    for (;;)
        ;
}
