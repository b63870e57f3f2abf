/*
 * Confined answers each event with what became of what its data names: "open" a file, "socket", "fork", "thread" that opens
 * a file; as the number of an error, 0 if it could.
 */
#include "aem.h"
#include <pthread.h>
#include <sys/wait.h>

static void *opens(void *result)
{
	int fd = open("/etc/passwd", O_RDONLY);

	*(int *)result = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int in_thread(void)
{
	int result = -1, failed;
	pthread_t thread;

	if ((failed = pthread_create(&thread, NULL, opens, &result)))
		return -failed;
	pthread_join(thread, NULL);
	return result;
}

static int forks(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid < 0 ? errno : 0;
}

static int handle(const struct aem_event *e, void *ctx)
{
	char text[16], word[16] = "";
	int result = 0;

	(void)ctx;
	memcpy(word, e->data, e->size < sizeof word ? e->size : sizeof word - 1);
	if (!strcmp(word, "open"))
		opens(&result);
	else if (!strcmp(word, "socket"))
		result = socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
	else if (!strcmp(word, "fork"))
		result = forks();
	else if (!strcmp(word, "thread"))
		result = in_thread();
	return aem_reply(e, text, snprintf(text, sizeof text, "%d", result)) ? AEM_FAIL : AEM_DONE;
}

static void *sleeps(void *ignored)
{
	while (!ignored)
		pause();
	return NULL;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, sleeps, NULL))
		return 1;
	return aem_run(handle, NULL);
}
