/* Egg is a zygote that tells what it is a copy of. It does what its event's data says, or what comes over its connection. */
#include "aem.h"
#include <pthread.h>

static int calls, warm; /* before the events it has been warmed up: that is to be seen in each copy */

static int is(const struct aem_event *e, const char *command)
{
	return e->size >= strlen(command) && memcmp(e->data, command, strlen(command)) == 0;
}

static int said(char *to, size_t room)
{
	return snprintf(to, room, "%d %d %d %d\n", calls, warm, (int)getppid(), (int)getpid());
}

static int reply(const struct aem_event *e)
{
	char text[100];

	return aem_reply(e, text, said(text, sizeof text)) < 0 ? AEM_FAIL : AEM_DONE;
}

/* leave starts a process that outlives this one, and tells its number. */
static int leave(const struct aem_event *e)
{
	char text[20];
	pid_t pid = fork();

	if (pid == 0) {
		execlp("sleep", "sleep", "60", (char *)NULL);
		_exit(127);
	}
	snprintf(text, sizeof text, "%d", (int)pid);
	return aem_reply(e, text, strlen(text)) < 0 ? AEM_FAIL : AEM_DONE;
}

static unsigned long long sum(const struct aem_event *e)
{
	const unsigned char *at = (const unsigned char *)e->data, *end = at + e->size;
	unsigned long long total = 0;

	while (at < end)
		total += *at++;
	return total;
}

static int egg(const struct aem_event *e, void *ctx)
{
	char text[4096], byte;

	(void)ctx;
	calls++;
	if (e->fd >= 0) {
		if (aem_write(e->fd, text, said(text, sizeof text)) < 0 || read(e->fd, &byte, 1) != 1)
			return AEM_RETRY;
		if (byte == 'x')
			abort();
		if (byte == 's')
			return aem_fail(e, "%zu bytes, sum %llu", e->size, sum(e));
		return aem_write(e->fd, &byte, 1) < 0 ? AEM_FAIL : AEM_DONE;
	}
	if (is(e, "count"))
		return reply(e);
	if (is(e, "crash"))
		abort();
	if (is(e, "exit"))
		exit(3);
	if (is(e, "sleep"))
		for (;;)
			pause();
	if (is(e, "deaf"))
		for (signal(SIGTERM, SIG_IGN);;)
			pause();
	if (is(e, "nap")) {
		usleep(50000);
		return reply(e);
	}
	if (is(e, "leave"))
		return leave(e);
	if (is(e, "fork")) {
		fork();
		return AEM_DONE;
	}
	if (is(e, "say")) { /* in two pieces, so that others come in between */
		printf("%.*s", (int)e->size / 2, (const char *)e->data);
		fflush(stdout);
		usleep(1000);
		printf("%.*s\n", (int)(e->size - e->size / 2), (const char *)e->data + e->size / 2);
		fprintf(stderr, "because of %.*s\n", (int)e->size, (const char *)e->data);
		return is(e, "say no") ? aem_fail(e, "no") : AEM_DONE;
	}
	if (is(e, "hog")) {
		size_t i, size = (size_t)1 << 30;
		volatile char *memory = (volatile char *)malloc(size);
		for (i = 0; memory && i < size; i += 4096)
			memory[i] = 1;
		return AEM_DONE;
	}
	if (is(e, "personality"))
		syscall(SYS_personality, 0);
	return AEM_FAIL;
}

static void *idle(void *ctx)
{
	for (;;)
		pause();
	return ctx;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	warm = 42;
	if (argc > 1 && strcmp(argv[1], "threads") == 0)
		pthread_create(&thread, NULL, idle, NULL);
	printf("warmed up\n"); /* and not flushed: to a pipe that takes more */
	return aem_run(egg, NULL);
}
