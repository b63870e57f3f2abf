// The CPUID instructions of a program's start, which in a virtual machine are the hypervisor's to answer: counts those that
// the program executes, then reads a count, does them all that often, and writes the nanoseconds of each time.
//
//	cpuid PROGRAM

#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// count runs a program one instruction after the other.
static int count(char **argv)
{
	int n = 0, status;
	pid_t pid = fork();
	if (pid == 0) {
		close(1);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execv(argv[0], argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		struct user_regs_struct r;
		if (ptrace(PTRACE_GETREGS, pid, 0, &r) < 0)
			return -1;
		n += (ptrace(PTRACE_PEEKTEXT, pid, r.rip, 0) & 0xffff) == 0xa20f;
		if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) < 0)
			return -1;
	}
	return n;
}

int main(int argc, char **argv)
{
	uint32_t times;
	int n = argc == 2 ? count(argv + 1) : -1;
	if (n < 0) {
		perror("cpuid: count");
		return 1;
	}
	while (read(0, &times, sizeof times) == sizeof times)
		for (; times; times--) {
			unsigned a, b, c, d;
			int64_t began = now();
			for (int i = 0; i < n; i++)
				__cpuid_count(4, 0, a, b, c, d);
			int64_t took = now() - began;
			if (write(1, &took, sizeof took) != sizeof took)
				return 1;
		}
	return 0;
}
