/* Takes memory and uses it, until it has none or a gigabyte. */
#include "attack.h"

int main(void)
{
    for (size_t i = 0; i < 1024; i++) {
        char *p = malloc(1 << 20);
        if (!p)
            return 1;
        memset(p, (int)i + 1, 1 << 20);
    }
    broke("a gigabyte of memory");
}
