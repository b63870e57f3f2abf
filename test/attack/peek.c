/* Looks into the supervisor and another app, writes there, and takes their descriptors. */
#include "attack.h"
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

int main(void)
{
    int pid[2];
    targets(pid);
    for (int i = 0; i < 2; i++) {
        char byte = 0, path[64];
        struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
        if (ptrace(PTRACE_ATTACH, pid[i], 0, 0) == 0 || ptrace(PTRACE_SEIZE, pid[i], 0, 0) == 0)
            broke("ptrace");
        /* Without permission it is EPERM; with it a bad address is EFAULT. */
        if (process_vm_writev(pid[i], &here, 1, &there, 1, 0) >= 0 || errno == EFAULT)
            broke("process_vm_writev");
        if (process_vm_readv(pid[i], &here, 1, &there, 1, 0) >= 0 || errno == EFAULT)
            broke("process_vm_readv");
        for (const char *const *file = (const char *const[]){"mem", "environ", "maps", "fd/0", 0}; *file; file++) {
            snprintf(path, sizeof path, "/proc/%d/%s", pid[i], *file);
            if (open(path, O_RDONLY) >= 0)
                broke(path);
        }
        int pidfd = (int)syscall(SYS_pidfd_open, pid[i], 0);
        if (pidfd >= 0 && syscall(SYS_pidfd_getfd, pidfd, 0, 0) >= 0)
            broke("pidfd_getfd");
    }
    return 0;
}
