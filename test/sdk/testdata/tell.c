/* Tell does what its event's data says; for other data it fails with the data's size and checksum. */
#include "aem.h"

static int is(const struct aem_event *e, const char *command)
{
	return e->size == strlen(command) && memcmp(e->data, command, e->size) == 0;
}

static uint32_t crc32(const struct aem_event *e)
{
	const unsigned char *at = (const unsigned char *)e->data, *end = at + e->size;
	uint32_t crc = ~0u;
	int bit;

	for (; at < end; at++)
		for (crc ^= *at, bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	return ~crc;
}

static const char *fact(const struct aem_event *e, const char *name)
{
	const char *value = aem_fact(e, name);

	return value ? value : "-";
}

/* A scheme of allocation: each block lies where the one before ended, its data at a page, and all is free again when as
 * many were given back as were given out. */
static struct {
	int live;
	char *top;
} stack;

static void *push(struct aem_memory *m, size_t size, size_t data_at)
{
	char *at = stack.live == 0 ? m->start : stack.top;

	at += -((uintptr_t)at + data_at) & 4095;
	if (at + size > m->start + m->size)
		return NULL;
	stack.live++;
	return stack.top = at + size, at;
}

static void pop(struct aem_memory *m, void *block, size_t size)
{
	(void)m, (void)block, (void)size;
	stack.live--;
}

static int tell(const struct aem_event *e, void *ctx)
{
	char byte;

	if (ctx && e->size > 0 && (uintptr_t)e->data % 4096 != 0)
		return aem_fail(e, "the data is not at a page");
	if (is(e, "done"))
		return AEM_DONE;
	if (is(e, "retry"))
		return aem_retry(e, 0, "not yet");
	if (is(e, "after"))
		return aem_retry(e, 300, "busy");
	if (is(e, "fail"))
		return aem_fail(e, "gave %s", "up");
	if (is(e, "long"))
		return aem_fail(e, "%05000d", 0);
	if (is(e, "third"))
		return e->attempt < 3 ? aem_retry(e, 0, "attempt %u", e->attempt) : AEM_DONE;
	if (is(e, "second"))
		return e->attempt < 2 ? aem_retry(e, 300, "later") : AEM_DONE;
	if (is(e, "reply"))
		return aem_reply(e, "not this one", 12) || aem_reply(e, "pong", 4) ? AEM_FAIL : AEM_DONE;
	if (is(e, "reply, fail"))
		return aem_reply(e, "pong", 4) == 0 ? aem_fail(e, "gave up") : AEM_RETRY;
	if (is(e, "too long"))
		return aem_reply(e, NULL, AEM_MAX_REPLY + 1) < 0 ? aem_fail(e, "reply: %s", strerror(errno)) : AEM_DONE;
	if (e->size > 0 && *(const char *)e->data == '=')
		return aem_reply(e, e->data, e->size) < 0 ? AEM_FAIL : AEM_DONE;
	if (is(e, "die"))
		_exit(3);
	if (is(e, "conn"))
		return aem_write(e->fd, "!", 1) == 1 && read(e->fd, &byte, 1) == 1 ? AEM_DONE : AEM_FAIL;
	if (is(e, "facts"))
		return aem_fail(e, "%llu %llu %u %u %u %lld %lld %s %s %s %s %s %s", (unsigned long long)e->id,
				(unsigned long long)e->job, e->attempt, e->count, e->priority, (long long)e->time_ns,
				(long long)e->deadline_ns, fact(e, "app"), fact(e, "event"), fact(e, "handler"),
				fact(e, "type"), fact(e, "topic"), fact(e, "none"));
	if (is(e, "number"))
		return -7;
	return aem_fail(e, "%zu %08x", e->size, crc32(e));
}

int main(int argc, char **argv)
{
	static struct aem_memory memory = {NULL, 0, push, pop, NULL};
	struct aem_program p = {tell, NULL, NULL, NULL, argc > 1 ? (unsigned)atoi(argv[1]) : 1, NULL};

	if (argc > 2)
		p.ctx = p.memory = &memory;
	if (argc > 2 && strcmp(argv[2], "own") == 0) {
		memory.size = 2 << 20;
		memory.start = (char *)aligned_alloc(4096, memory.size);
	}
	return aem_run_program(&p);
}
