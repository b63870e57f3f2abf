/*
 * What libseccomp makes of a profile, for tests and benchmarks: the filter that runc would install, which adds the rules of
 * a profile one by one as they are given here.
 *
 *	libseccomp export FILE  writes the program, as struct sock_filter, to standard output
 *	libseccomp time FILE    for each 32-bit count that it reads makes the program that often, and writes the nanoseconds of
 *	                        each time, as 64 bits
 *	libseccomp names ARCH   reads names of system calls, and writes each one's number, negative for none
 *
 * The file has a line for each word of the profile; actions and values are numbers, in C's notation:
 *
 *	default ACTION
 *	optimize LEVEL         1 is libseccomp's default, 2 a binary tree
 *	native NAME            the kernel's architecture
 *	arch NAME              another one
 *	rule ACTION SYSCALL [INDEX OP VALUE VALUE_TWO]...
 *
 * Rules that libseccomp refuses are told on standard error, as "refused LINE: why". Names that it does not know are passed
 * over, as by runc.
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_LINES = 65536, MAX_LINE = 1024 };

static char *lines[MAX_LINES];
static int count;

static void die(const char *what, int rc)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-rc));
	exit(1);
}

static void add_rule(scmp_filter_ctx ctx, const char *line, int loud)
{
	static const struct { const char *name; enum scmp_compare op; } ops[] = {
		{"NE", SCMP_CMP_NE}, {"LT", SCMP_CMP_LT}, {"LE", SCMP_CMP_LE}, {"EQ", SCMP_CMP_EQ},
		{"GE", SCMP_CMP_GE}, {"GT", SCMP_CMP_GT}, {"MASKED_EQ", SCMP_CMP_MASKED_EQ},
	};
	struct scmp_arg_cmp args[6];
	char text[MAX_LINE], *rest, *word;
	unsigned n = 0, i;
	uint32_t action;
	int nr, rc;

	strcpy(text, line);
	strtok_r(text, " ", &rest);
	action = strtoul(strtok_r(NULL, " ", &rest), NULL, 0);
	word = strtok_r(NULL, " ", &rest);
	nr = seccomp_syscall_resolve_name(word);
	if (nr == __NR_SCMP_ERROR)
		return;
	while ((word = strtok_r(NULL, " ", &rest)) && n < 6) {
		memset(&args[n], 0, sizeof args[n]);
		args[n].arg = strtoul(word, NULL, 0);
		word = strtok_r(NULL, " ", &rest);
		for (i = 0; i < sizeof ops / sizeof *ops && strcmp(word, ops[i].name); i++)
			;
		args[n].op = ops[i].op;
		args[n].datum_a = strtoull(strtok_r(NULL, " ", &rest), NULL, 0);
		args[n].datum_b = strtoull(strtok_r(NULL, " ", &rest), NULL, 0);
		n++;
	}
	rc = seccomp_rule_add_array(ctx, action, nr, n, args);
	if (rc && loud)
		fprintf(stderr, "refused %s: %s\n", line, strerror(-rc));
}

static uint32_t arch(const char *name)
{
	uint32_t a = seccomp_arch_resolve_name(name);

	if (!a)
		die(name, -EINVAL);
	return a;
}

static scmp_filter_ctx make(int loud)
{
	scmp_filter_ctx ctx = NULL;
	int i, rc = 0;

	for (i = 0; i < count && rc == 0; i++) {
		if (!strncmp(lines[i], "default ", 8)) {
			ctx = seccomp_init(strtoul(lines[i] + 8, NULL, 0));
			if (!ctx)
				die("seccomp_init", -EINVAL);
		} else if (!strncmp(lines[i], "optimize ", 9)) {
			rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, atoi(lines[i] + 9));
		} else if (!strncmp(lines[i], "native ", 7)) {
			if (arch(lines[i] + 7) != seccomp_arch_native()) {
				rc = seccomp_arch_add(ctx, arch(lines[i] + 7));
				if (rc == 0)
					rc = seccomp_arch_remove(ctx, seccomp_arch_native());
			}
		} else if (!strncmp(lines[i], "arch ", 5)) {
			rc = seccomp_arch_add(ctx, arch(lines[i] + 5));
			if (rc == -EEXIST)
				rc = 0;
		} else {
			add_rule(ctx, lines[i], loud);
		}
	}
	if (rc)
		die(lines[i - 1], rc);
	return ctx;
}

static int64_t took(int fd)
{
	struct timespec from, to;
	scmp_filter_ctx ctx;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &from);
	ctx = make(0);
	rc = seccomp_export_bpf(ctx, fd);
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (rc)
		die("seccomp_export_bpf", rc);
	seccomp_release(ctx);
	return (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec;
}

static void read_lines(FILE *f)
{
	char text[MAX_LINE];

	while (count < MAX_LINES && fgets(text, sizeof text, f)) {
		text[strcspn(text, "\n")] = 0;
		lines[count++] = strdup(text);
	}
}

int main(int argc, char **argv)
{
	uint32_t n;
	FILE *f;
	int i, fd;

	if (argc != 3)
		return 2;
	if (!strcmp(argv[1], "names")) {
		read_lines(stdin);
		for (i = 0; i < count; i++)
			printf("%d\n", seccomp_syscall_resolve_name_arch(arch(argv[2]), lines[i]));
		return 0;
	}
	if (!(f = fopen(argv[2], "r")))
		die(argv[2], -errno);
	read_lines(f);
	if (!strcmp(argv[1], "export"))
		return seccomp_export_bpf(make(1), 1) != 0;
	fd = open("/dev/null", O_WRONLY);
	while (read(0, &n, sizeof n) == sizeof n) {
		for (; n > 0; n--) {
			int64_t ns = took(fd);

			fwrite(&ns, sizeof ns, 1, stdout);
		}
		fflush(stdout);
	}
	return 0;
}
