// The floor of making a process: what internal/spawn has its children do, in the same order and with the same flags, by
// a C program with nothing else to do.
//
//	vfork PROGRAM UID FILTER GROUP TASKS...
//
// UID is -1 for no change of identity, FILTER a file of struct sock_filter, GROUP the descriptor of a v2 group or -1,
// TASKS descriptors of v1 `tasks` files. Descriptor 3 is /dev/null.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LOW = 64, SLOTS = 24, MAX_TASKS = 8 }; // the descriptors a child is given are copies in LOW..LOW+SLOTS-1

static char *program;
static int uid, group = -1, ntasks, tasks[MAX_TASKS];
static int bounding[64], nbounding;
static struct sock_fprog filter;
static const struct { int resource; struct rlimit value; } limits[] = {
	{RLIMIT_CORE, {0, 0}}, {RLIMIT_NPROC, {1000, 1000}}, {RLIMIT_FSIZE, {1 << 30, 1 << 30}},
};
static const struct rlimit nofile = {1024, 1024};
static char *argv[] = {"born", NULL}, *envp[] = {"PATH=/usr/bin:/bin", NULL};

// call is a system call without libc, which would tell its other threads, set errno and take locks.
static inline long call(long nr, long a, long b, long c, long d, long e)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return result;
}

static void must(long result)
{
	if (result < 0)
		call(SYS_exit_group, 100, 0, 0, 0, 0);
}

// child is what the new process does, in the order of internal/spawn/steps.go.
__attribute__((noinline, noreturn)) static void child(void)
{
	static const struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	static const struct __user_cap_data_struct none[2];
	static const uint64_t no_signal;

	must(call(SYS_close_range, LOW + SLOTS, ~0U, CLOSE_RANGE_UNSHARE, 0, 0));
	must(call(SYS_close_range, 0, LOW - 1, 0, 0, 0));
	must(call(SYS_setsid, 0, 0, 0, 0, 0));
	for (int i = 0; i < 3; i++)
		must(call(SYS_prlimit64, 0, limits[i].resource, (long)&limits[i].value, 0, 0));
	for (int i = 0; i < 3; i++)
		must(call(SYS_dup3, LOW + i, i, 0, 0, 0));
	must(call(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&nofile, 0, 0));
	for (int i = 0; i < ntasks; i++)
		must(call(SYS_write, LOW + 16 + i, (long)"0", 1, 0, 0));
	for (int i = 0; i < nbounding; i++)
		must(call(SYS_prctl, PR_CAPBSET_DROP, bounding[i], 0, 0, 0));
	if (uid >= 0) {
		must(call(SYS_setgroups, 0, 0, 0, 0, 0));
		must(call(SYS_setresgid, uid, uid, uid, 0, 0));
		must(call(SYS_setresuid, uid, uid, uid, 0, 0));
	}
	must(call(SYS_capset, (long)&header, (long)none, 0, 0, 0));
	must(call(SYS_chdir, (long)"/", 0, 0, 0, 0));
	call(SYS_umask, 022, 0, 0, 0, 0);
	must(call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&no_signal, 0, 8, 0));
	must(call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&filter, 0, 0));
	must(call(SYS_execve, (long)program, (long)argv, (long)envp, 0, 0));
	__builtin_unreachable();
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

// once makes one process and returns how long it took to its first line.
static int64_t once(int stamps)
{
	int pidfd = -1;
	struct clone_args how = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | (group >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)&pidfd, .exit_signal = SIGCHLD, .cgroup = group < 0 ? 0 : group,
	};
	int64_t start = now(), born;
	long pid = call(SYS_clone3, (long)&how, sizeof how, 0, 0, 0);
	if (pid == 0)
		child();
	if (pid < 0)
		errno = -pid, fail("clone3");
	siginfo_t ended;
	if (waitid(P_PIDFD, pidfd, &ended, WEXITED) < 0 || ended.si_status != 0)
		fprintf(stderr, "vfork: the child failed, status %d\n", ended.si_status), exit(1);
	if (read(stamps, &born, sizeof born) != sizeof born)
		fail("read stamp");
	close(pidfd);
	return born - start;
}

static void read_filter(const char *file)
{
	static struct sock_filter insns[BPF_MAXINSNS];
	FILE *f = fopen(file, "r");
	if (!f)
		fail(file);
	filter.len = fread(insns, sizeof insns[0], BPF_MAXINSNS, f);
	filter.filter = insns;
	fclose(f);
}

int main(int argc, char **arg)
{
	if (argc < 5)
		return 2;
	program = arg[1], uid = atoi(arg[2]), group = atoi(arg[4]);
	read_filter(arg[3]);
	for (int i = 0; i < 64; i++) // only root may drop these, and only for root it matters
		if (uid >= 0 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			bounding[nbounding++] = i;
	int stamps[2];
	if (pipe2(stamps, O_CLOEXEC) < 0)
		fail("pipe2");
	const int given[] = {3, stamps[1], 2};
	for (int i = 0; i < 3; i++)
		if (dup3(given[i], LOW + i, O_CLOEXEC) < 0)
			fail("dup3");
	for (int i = 5; i < argc && ntasks < MAX_TASKS; i++, ntasks++)
		if (dup3(tasks[ntasks] = atoi(arg[i]), LOW + 16 + ntasks, O_CLOEXEC) < 0)
			fail("dup3");
	static int64_t took[1 << 12];
	uint32_t n;
	while (read(0, &n, sizeof n) == sizeof n && n <= sizeof took / sizeof took[0]) {
		for (uint32_t i = 0; i < n; i++)
			took[i] = once(stamps[0]);
		if (write(1, took, n * sizeof took[0]) != (ssize_t)(n * sizeof took[0]))
			return 1;
	}
	return 0;
}
