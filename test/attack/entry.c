/* Makes a call that its policy denies, personality, by the entry that is its argument. */
#include "attack.h"
#include <sys/syscall.h>

int main(int argc, char **argv)
{
    const char *entry = argc > 1 ? argv[1] : "";
    long got;
    if (strcmp(entry, "x86-64") == 0) {
        got = syscall(SYS_personality, 0xffffffff);
    } else if (strcmp(entry, "x32") == 0) {
        got = syscall(0x40000000 | SYS_personality, 0xffffffff); /* __X32_SYSCALL_BIT */
    } else if (strcmp(entry, "i386") == 0) {
        const long personality = 136;
        __asm__ volatile("int $0x80" : "=a"(got) : "a"(personality), "b"(0xffffffffL) : "memory", "r8", "r9", "r10", "r11");
    } else {
        return 1;
    }
    fprintf(stderr, "it returned %ld\n", got);
    return BROKE;
}
