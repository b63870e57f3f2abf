/*
 * aem.h: handlers of aem-exec in C. One header, libc only; GNU C99 or C++11, little-endian Linux. Include it first.
 *
 *	#include "aem.h"
 *	static int hello(const struct aem_event *e, void *ctx)
 *	{
 *		return aem_write(e->fd, e->data, e->size) < 0 ? AEM_RETRY : AEM_DONE;
 *	}
 *	int main(void) { return aem_run(hello, NULL); }
 *
 * The event is complete in the program's memory before the function is called; what the function returns is its fate.
 * Section numbers below are those of docs/abi.md, which says all that passes between a handler and the supervisor.
 */
#ifndef AEM_H
#define AEM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#error "include aem.h before the headers of libc, or compile with -D_GNU_SOURCE"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the numbers of the ABI are little-endian"
#endif

/* What a handler returns. Any other number is taken for AEM_RETRY. */
enum {
	AEM_DONE = 0,  /* it did it */
	AEM_RETRY = 1, /* the attempt failed: once more, as often as the configuration says */
	AEM_FAIL = 2   /* it failed, and another attempt would too */
};

/* An event. It and what it points to are valid until the handler returns. */
struct aem_event {
	const void *data;
	size_t size;
	int fd; /* came with the event, or -1; aem_run closes it after the handler returned: dup it to keep it */
	uint64_t id; /* the same at every attempt */
	uint64_t job;
	int64_t time_ns;     /* when it was detected, CLOCK_REALTIME */
	int64_t deadline_ns; /* when it must be answered, in the same time; 0: whenever */
	uint32_t attempt;    /* 1 is the first */
	uint32_t count;      /* arrivals in it */
	uint32_t priority;
	const char *interrupted; /* for a destructor: struct aem_program */
	const char *facts; /* for aem_fact */
	size_t facts_size;
	struct aem_fate *fate; /* for aem_retry, aem_fail and aem_reply */
};

typedef int aem_handler(const struct aem_event *e, void *ctx);

/*
 * aem_run calls f with one event after the other, until SIGTERM, the supervisor's word or its end. It returns the exit
 * status of the program: 0; 1 if the supervisor cannot be understood; 2 if it was not started by aem-exec. It takes
 * SIGTERM for itself: the current event is finished.
 *
 * With life = "zygote" each call is made in a copy of the process, by fork: f finds all as the program left it when it
 * called aem_run, and what f changes ends with it. Only the thread that called aem_run is in the copy; a lock that
 * another holds at that moment is never let go there. What atexit registered is not called in the copy.
 */
static inline int aem_run(aem_handler *f, void *ctx);

/*
 * An application's own scheme of allocation: it says where each event lands. Where the file says arena.alloc = "app" it is
 * needed, and elsewhere refused. Its functions are called between two events.
 */
struct aem_memory {
	/* Where events may land, from a multiple of 64 on, at least 4096 bytes. NULL: memory of arena.size bytes is made, as it
	 * is with arena.copy = "shared", and both are set before the first alloc. */
	char *start;
	size_t size;
	/* Finds room for an event's block of so many bytes, which has the event's data at data_at, at a multiple of 64. NULL:
	 * there is no room now. */
	void *(*alloc)(struct aem_memory *m, size_t size, size_t data_at);
	/* Takes a block back when its event was answered. NULL: what landed stays until alloc gives its place out again. */
	void (*free)(struct aem_memory *m, void *block, size_t size);
	void *ctx; /* the application's */
};

/*
 * All that a program can say of itself. Each attempt at an event is construct, run and destruct, in this order. What is not
 * AEM_DONE of construct keeps run from being called, and nothing does destruct; the first such is the event's fate. When the
 * process ends in the middle of an attempt, another process of the same handler calls destruct for it, before the event has
 * its fate or is tried again: e->interrupted is not NULL then, but how the process ended, in the word that the log has for
 * it, as "signal", "exit", "timeout" or "oom", and e->fd is -1. That is tried once.
 */
struct aem_program {
	aem_handler *run;
	aem_handler *construct, *destruct; /* NULL: there is none */
	void *ctx;                         /* of all three */
	unsigned ahead;                    /* how many events, 1 to 64, may be there before they are run; 0: 1. A zygote takes 64 */
	struct aem_memory *memory;         /* where events land; NULL: the supervisor says that */
};

/* aem_run_program is aem_run with all of that. */
static inline int aem_run_program(const struct aem_program *p);

/* aem_fact is the value of a fact, NULL if the event has no such fact. All have app, event, handler and type. */
static inline const char *aem_fact(const struct aem_event *e, const char *name);

/* aem_retry and aem_fail are AEM_RETRY and AEM_FAIL with a reason, cut at 4096 bytes. A delay of 0 is the
 * configuration's backoff. */
static inline int aem_retry(const struct aem_event *e, uint32_t delay_ms, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline int aem_fail(const struct aem_event *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* aem_reply answers the event with size bytes, which go to whoever can take them: a publisher that waits, or the sender of
 * a datagram. They are copied, and sent when the handler returned AEM_DONE; the last call wins. It returns 0, or -1 with
 * errno: EMSGSIZE beyond AEM_MAX_REPLY bytes, ENOMEM. */
static inline int aem_reply(const struct aem_event *e, const void *data, size_t size);
#define AEM_MAX_REPLY ((size_t)1 << 20)

/* aem_write writes all of size bytes and returns size, or -1 with errno. A peer that is gone is EPIPE, not SIGPIPE. */
static inline ssize_t aem_write(int fd, const void *data, size_t size);

/* ------------------------------------------------------------------------------------------------------------------
 * The rest is how it is done: sections 1 to 3 as constants and structs, then the way of an event.
 */

enum { AEM_CHANNEL = 3, AEM_PAGE = 4, AEM_WAITER = 5, AEM_ANSWERS = 6, AEM_ARENA = 7, AEM_FILTER = 8, AEM_CONTROL = 9 };
enum { AEM_KIND_HELLO = 1, AEM_KIND_NONCE = 2, AEM_KIND_DESCRIPTOR = 3, AEM_KIND_ERROR = 4 };
enum { AEM_KIND_STOP = 5, AEM_KIND_REPLY = 6, AEM_KIND_GROW = 7 };
enum { AEM_KIND_BORN = 8, AEM_KIND_ANSWER = 9, AEM_KIND_ENDED = 10, AEM_KIND_UNBORN = 11 };
enum { AEM_KIND_ALLOC = 12, AEM_KIND_PLACE = 13 };
enum { AEM_HELLO_ZYGOTE = 1, AEM_HELLO_ALLOC = 2, AEM_HELLO_FILTERED = 4, AEM_HELLO_DESTRUCT = 8 };
enum { AEM_INTERRUPTED = 1 }; /* flag of a block */
enum { AEM_STREAMS = 2 }; /* that a zygote's child writes to */
enum { AEM_VERSION = 1, AEM_SLOTS = 64, AEM_MAX_BODY = 4096, AEM_PAGE_SIZE = 4096, AEM_WAIT_CHANNEL = 2 };
#define AEM_MAGIC 0x314d4541u
#define AEM_BLOCK_MAGIC 0x454d4541u
#define AEM_HUGE_PAGE ((size_t)2 << 20)
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* linux/mman.h, Linux 5.14 */
#endif

struct aem_entry {
	uint64_t offset;
	uint32_t size, flags;
};

struct aem_answer {
	uint64_t number, outcome, text, reply, reserved;
};

struct aem_page {
	uint32_t magic;
	uint16_t version, header_size;
	uint32_t size, entry_count, entries_at, answer_count, answers_at, reserved0[9];
	uint32_t head, reserved1[15];
	uint32_t taken, answered, reserved2[14];
	uint32_t handler_sleeps, reserved3[15];
	uint32_t supervisor_sleeps, reserved4[63];
	struct aem_entry entries[AEM_SLOTS];
	struct aem_answer answers[AEM_SLOTS];
};

struct aem_block {
	uint32_t magic, header_size;
	uint64_t size, number, id, job;
	int64_t time, deadline;
	uint32_t attempt, count, priority, flags, fact_count, facts_size;
	uint64_t data_at, data_size;
};

struct aem_header {
	uint32_t magic;
	uint16_t version, kind;
	uint32_t size, number;
};

struct aem_hello {
	struct aem_header header;
	uint64_t arena, arena_size;
	uint32_t pid, tid, in_flight, flags;
};

/* What the supervisor sends; only ALLOC has a body. */
struct aem_order {
	struct aem_header header;
	struct {
		uint64_t size, data_at;
	} need[AEM_SLOTS];
};

struct aem_places {
	struct aem_header header;
	uint64_t at[AEM_SLOTS];
};

/* The bodies of ENDED and UNBORN. */
struct aem_word {
	struct aem_header header;
	uint64_t word;
};

struct aem_message {
	struct aem_header header;
	char body[AEM_MAX_BODY + 1]; /* and a NUL */
};

typedef char aem_page_is_a_page[sizeof(struct aem_page) == AEM_PAGE_SIZE ? 1 : -1];
typedef char aem_block_is_96[sizeof(struct aem_block) == 96 ? 1 : -1];
typedef char aem_hello_is_48[sizeof(struct aem_hello) == 48 ? 1 : -1];

/* What the handler says beside its outcome. */
struct aem_fate {
	uint32_t delay_ms;
	struct aem_message error; /* header.size 0: nothing */
	char *reply;
	size_t reply_size, reply_room;
};

/* A process that a zygote forked. */
struct aem_child {
	uint32_t number; /* of its event */
	pid_t pid;
};

/* The handler's end. Its counters are its own; the page holds copies for the supervisor. */
struct aem_inbox {
	struct aem_page *page;
	const struct aem_program *program;
	char *arena, *mapping; /* the arena lies in the mapping */
	size_t arena_size, mapping_size;
	struct aem_order order; /* the last that came */
	uint32_t taken, answered;
	int passed; /* a descriptor that is not used yet, an event's or a shared arena's, or -1 */
	int ending; /* STOP came */
	int filtered; /* the second filter is installed */
	int shared; /* the arena is */
	int zygote; /* it forks for each event */
	int streams[AEM_STREAMS]; /* that the next child is to write to, or -1 */
	struct aem_child *children;
	size_t child_count, child_room;
	char *copy; /* of the event, where the arena is shared */
	size_t copy_room;
	uint64_t number;
	const void *block; /* of the event */
	size_t block_size;
	struct aem_event event;
	struct aem_fate fate;
};

/* The words that both sides look at. Sequentially consistent: of two that set a flag, then look, one sees the other. */
static inline uint32_t aem_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static inline void aem_store(uint32_t *word, uint32_t to) { __atomic_store_n(word, to, __ATOMIC_SEQ_CST); }

static inline int aem_broken(const char *what, const char *why)
{
	fprintf(stderr, "aem: %s: %s\n", what, why);
	return -1;
}

static inline const char *aem_fact(const struct aem_event *e, const char *name)
{
	const char *at = e->facts, *end = at + e->facts_size;
	size_t size = strlen(name);
	uint16_t length[2]; /* of name and value; both have a NUL behind them */

	for (; end - at > 4; at += (4 + length[0] + 1 + length[1] + 1 + 7) & ~7) {
		memcpy(length, at, sizeof length);
		if (end - at < 4 + length[0] + 1 + length[1] + 1)
			break;
		if (length[0] == size && memcmp(at + 4, name, size) == 0 && at[4 + size + 1 + length[1]] == 0)
			return at + 4 + size + 1;
	}
	return NULL;
}

static inline void aem_say(struct aem_message *error, const char *format, va_list args)
{
	int n = vsnprintf(error->body, sizeof error->body, format, args);

	error->header.size = n < 0 ? 0 : n > AEM_MAX_BODY ? AEM_MAX_BODY : n;
}

static inline int aem_retry(const struct aem_event *e, uint32_t delay_ms, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	aem_say(&e->fate->error, format, args);
	va_end(args);
	e->fate->delay_ms = delay_ms;
	return AEM_RETRY;
}

static inline int aem_fail(const struct aem_event *e, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	aem_say(&e->fate->error, format, args);
	va_end(args);
	return AEM_FAIL;
}

static inline int aem_reply(const struct aem_event *e, const void *data, size_t size)
{
	struct aem_fate *f = e->fate;

	if (size > AEM_MAX_REPLY) {
		errno = EMSGSIZE;
		return -1;
	}
	if (size > f->reply_room) {
		char *more = (char *)realloc(f->reply, size);
		if (!more)
			return -1;
		f->reply = more;
		f->reply_room = size;
	}
	if (size > 0)
		memmove(f->reply, data, size);
	f->reply_size = size;
	return 0;
}

static inline ssize_t aem_write(int fd, const void *data, size_t size)
{
	const char *at = (const char *)data;
	size_t left = size;

	while (left > 0) {
		ssize_t n = send(fd, at, left, MSG_NOSIGNAL);
		if (n < 0 && errno == ENOTSOCK)
			n = write(fd, at, left);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			at += n;
			left -= n;
		}
	}
	return size;
}

/* Where the descriptors are: at their numbers in a handler, anywhere in a program that attached itself. */
static struct {
	int channel, page, waiter, answers;
} aem_at = {AEM_CHANNEL, AEM_PAGE, AEM_WAITER, AEM_ANSWERS};

/* SIGTERM ends the reading side of the channel, which wakes a handler that is about to sleep as well as one that does:
 * a flag alone would come too late for the first. */
static volatile sig_atomic_t aem_stopped;
static pid_t aem_pid;

static inline void aem_stop(int signal_number)
{
	int saved = errno;

	if (getpid() == aem_pid) {
		aem_stopped = 1;
		shutdown(aem_at.channel, SHUT_RD);
	} else { /* a fork of the handler: the channel is not its own */
		signal(signal_number, SIG_DFL);
		raise(signal_number);
	}
	errno = saved;
}

/* aem_send fills in a message's header and sends it: 1, 0 if the supervisor is gone, -1. */
static inline int aem_send(struct aem_header *message, int kind, size_t size, uint32_t number)
{
	message->magic = AEM_MAGIC;
	message->version = AEM_VERSION;
	message->kind = kind;
	message->size = size;
	message->number = number;
	while (send(aem_at.channel, message, sizeof *message + size, MSG_NOSIGNAL) < 0) {
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EINTR)
			return aem_broken("send to supervisor", strerror(errno));
	}
	return 1;
}

/* aem_bury waits for a child that has ended, and tells how it did: section 10. */
static inline int aem_bury(struct aem_inbox *in, uint32_t number)
{
	struct aem_word ended;
	size_t i;
	int status = 0;

	for (i = 0; i < in->child_count && in->children[i].number != number; i++)
		;
	if (i == in->child_count)
		return aem_broken("wait for child", "no child has that event");
	while (waitpid(in->children[i].pid, &status, 0) < 0)
		if (errno != EINTR)
			return aem_broken("wait for child", strerror(errno));
	in->children[i] = in->children[--in->child_count];
	ended.word = (uint32_t)status;
	return aem_send(&ended.header, AEM_KIND_ENDED, sizeof ended.word, number);
}

/* aem_keep keeps the n descriptors that came: of an event of a zygote, first what its child is to write to. */
static inline void aem_keep(struct aem_inbox *in, const struct cmsghdr *c, int kind)
{
	int fds[AEM_STREAMS + 1] = {-1, -1, -1}, own = in->zygote && kind == AEM_KIND_DESCRIPTOR ? AEM_STREAMS : 0;
	size_t n = c->cmsg_len - CMSG_LEN(0);

	memcpy(fds, CMSG_DATA(c), n < sizeof fds ? n : sizeof fds);
	if (own)
		memcpy(in->streams, fds, sizeof in->streams);
	in->passed = fds[own];
}

/* aem_receive waits for one message, keeps what it brings, and returns its kind; 0 if the supervisor is gone, -1. */
static inline int aem_receive(struct aem_inbox *in)
{
	struct aem_header *order = &in->order.header;
	struct iovec body = {&in->order, sizeof in->order};
	union {
		struct cmsghdr header; /* aligns */
		char bytes[CMSG_SPACE((AEM_STREAMS + 1) * sizeof(int))];
	} extra;
	struct msghdr m;
	struct cmsghdr *c;
	ssize_t n;

	memset(&m, 0, sizeof m);
	m.msg_iov = &body;
	m.msg_iovlen = 1;
	m.msg_control = &extra;
	m.msg_controllen = sizeof extra;
	do
		n = recvmsg(aem_at.channel, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return 0;
	if (n < 0)
		return aem_broken("read message", strerror(errno));
	if (n < (ssize_t)sizeof *order || order->magic != AEM_MAGIC || order->version != AEM_VERSION ||
	    order->size != n - sizeof *order || (order->size > 0 && order->kind != AEM_KIND_ALLOC))
		return aem_broken("read message", "not one of ABI 1");
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		aem_keep(in, c, order->kind);
	if (order->kind == AEM_KIND_STOP)
		in->ending = 1;
	if (in->zygote && order->kind == AEM_KIND_ENDED && (n = aem_bury(in, order->number)) <= 0)
		return n;
	return order->kind;
}

/* aem_map_page maps the control page and judges it: section 2. */
static inline int aem_map_page(struct aem_inbox *in)
{
	void *at = mmap(NULL, AEM_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, aem_at.page, 0);
	const struct aem_page *p = (const struct aem_page *)at;

	if (at == MAP_FAILED)
		return aem_broken("map control page", strerror(errno));
	in->page = (struct aem_page *)at;
	if (p->magic != AEM_MAGIC || p->version != AEM_VERSION || p->size != AEM_PAGE_SIZE ||
	    p->entry_count != AEM_SLOTS || p->answer_count != AEM_SLOTS)
		return aem_broken("map control page", "not one of ABI 1");
	if (in->zygote)
		madvise(at, AEM_PAGE_SIZE, MADV_DONTFORK); /* a child has nothing to do there */
	return 1;
}

/* aem_make_arena makes the memory that events land in, all its pages present: section 4. If a file was passed the arena is
 * that. */
static inline int aem_make_arena(struct aem_inbox *in, size_t size)
{
	int shared = in->passed >= 0;
	size_t slack = shared || size < AEM_HUGE_PAGE ? 0 : AEM_HUGE_PAGE;
	void *at;

	size = size < 4096 ? 4096 : (size + 4095) & ~(size_t)4095;
	at = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
		  in->passed, 0);
	if (at == MAP_FAILED)
		return aem_broken("make arena", strerror(errno));
	if (shared)
		close(in->passed);
	in->passed = -1;
	in->arena = in->mapping = (char *)at;
	in->arena_size = size;
	in->mapping_size = size + slack;
	if (slack)
		in->arena += -(uintptr_t)at & (AEM_HUGE_PAGE - 1);
	if (size >= AEM_HUGE_PAGE)
		madvise(in->arena, size, MADV_HUGEPAGE); /* a kernel without them refuses; small pages do */
	if (madvise(in->arena, size, MADV_POPULATE_WRITE) < 0)
		return aem_broken("make arena", strerror(errno));
	if (in->zygote && in->shared)
		madvise(in->arena, size, MADV_DONTFORK); /* a child has a copy of its event */
	return 1;
}

/* aem_first_arena is the application's own, if it brings one, and one of size bytes else. */
static inline int aem_first_arena(struct aem_inbox *in, size_t size)
{
	struct aem_memory *m = in->program->memory;
	int ok = 1;

	if (m && m->start && in->passed < 0) {
		in->arena = m->start;
		in->arena_size = m->size;
	} else if ((ok = aem_make_arena(in, size)) > 0 && m) {
		m->start = in->arena;
		m->size = in->arena_size;
	}
	return ok;
}

/* aem_confine installs the second filter, if there is one, on all threads: section 11. */
static inline int aem_confine(struct aem_inbox *in)
{
	enum { SET_FILTER = 1, TSYNC = 1, MOST = 4096 }; /* SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, BPF_MAXINSNS */
	const char *flags = getenv("AEM_FILTER");
	struct sock_filter *code;
	struct sock_fprog program;
	ssize_t n;
	long got;

	if (!flags)
		return 1;
	if (!(code = (struct sock_filter *)malloc(MOST * sizeof *code)))
		return aem_broken("install second filter", strerror(errno));
	n = pread(AEM_FILTER, code, MOST * sizeof *code, 0); /* others have the file, too, and so its offset */
	close(AEM_FILTER);
	program.len = n > 0 ? (unsigned short)(n / (ssize_t)sizeof *code) : 0;
	program.filter = code;
	got = syscall(SYS_seccomp, SET_FILTER, strtoul(flags, NULL, 10) | TSYNC, &program);
	free(code);
	if (got != 0)
		return aem_broken("install second filter", got < 0 ? strerror(errno) : "a thread has one of its own");
	in->filtered = 1;
	return 1;
}

/* aem_greet says hello and proves the arena: section 4. */
static inline int aem_greet(struct aem_inbox *in)
{
	const struct aem_program *p = in->program;
	struct aem_hello hello;
	struct {
		struct aem_header header;
		char bytes[16];
	} nonce;
	int got;

	memset(&hello, 0, sizeof hello);
	hello.arena = (uintptr_t)in->arena;
	hello.arena_size = in->arena_size;
	hello.pid = getpid();
	hello.tid = syscall(SYS_gettid);
	hello.in_flight = in->zygote ? (unsigned)AEM_SLOTS : p->ahead ? p->ahead : 1;
	hello.flags = (in->zygote ? AEM_HELLO_ZYGOTE : 0) | (p->memory ? AEM_HELLO_ALLOC : 0) |
		      (in->filtered ? AEM_HELLO_FILTERED : 0) | (p->destruct ? AEM_HELLO_DESTRUCT : 0);
	if ((got = aem_send(&hello.header, AEM_KIND_HELLO, sizeof hello - sizeof hello.header, 0)) <= 0)
		return got;
	if ((got = aem_receive(in)) <= 0)
		return got;
	if (got != AEM_KIND_NONCE)
		return in->ending ? 0 : aem_broken("say hello", "no nonce came");
	memcpy(nonce.bytes, in->arena, sizeof nonce.bytes);
	return aem_send(&nonce.header, AEM_KIND_NONCE, sizeof nonce.bytes, 0);
}

/* aem_grow is section 8. The old arena goes first, so that the two are never there at once. */
static inline int aem_grow(struct aem_inbox *in)
{
	int ok;

	munmap(in->mapping, in->mapping_size);
	return (ok = aem_make_arena(in, in->order.header.number)) <= 0 ? ok : aem_greet(in);
}

/* aem_place is section 9: it asks the application where the next events are to land, and tells the supervisor. */
static inline int aem_place(struct aem_inbox *in)
{
	struct aem_memory *m = in->program->memory;
	size_t i, n = in->order.header.size / sizeof in->order.need[0];
	struct aem_places places;

	if (!m || n == 0 || n > AEM_SLOTS)
		return aem_broken("place events", "nobody allocates");
	memset(&places, 0, sizeof places);
	for (i = 0; i < n; i++) {
		size_t size = in->order.need[i].size, data_at = in->order.need[i].data_at;
		char *at;
		if (size > m->size || data_at > size)
			return aem_broken("place events", "no block of ABI 1");
		at = (char *)m->alloc(m, size, data_at);
		if (!at)
			break; /* and none of those behind it */
		if (at < m->start || (uintptr_t)at % 64 != 0 || (size_t)(at - m->start) > m->size ||
		    m->size - (at - m->start) < size)
			return aem_broken("place events", "the allocator gave what is not a multiple of 64 in its memory");
		places.at[i] = (uintptr_t)at;
	}
	return aem_send(&places.header, AEM_KIND_PLACE, n * sizeof places.at[0], in->order.header.number);
}

/* aem_asked reports whether the environment has a variable with this value. */
static inline int aem_asked(const char *variable, const char *value)
{
	const char *has = getenv(variable);

	return has && strcmp(has, value) == 0;
}

/* aem_start is sections 1 and 4: 1 when events may come, 0 if none will, -1. */
static inline int aem_start(struct aem_inbox *in, const struct aem_program *p)
{
	const char *wish = getenv("AEM_ARENA_SIZE");
	struct sigaction action;
	int fd, ok;

	memset(in, 0, sizeof *in);
	in->shared = aem_asked("AEM_COPY", "shared");
	in->zygote = aem_asked("AEM_LIFE", "zygote");
	for (fd = AEM_CHANNEL; fd <= (in->shared ? AEM_ARENA : AEM_ANSWERS); fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (getenv("AEM_CONTROL"))
		fcntl(AEM_CONTROL, F_SETFD, FD_CLOEXEC);
	unsetenv("AEM_ABI"); /* programs that the handler starts are not started by aem-exec */
	in->passed = in->shared ? AEM_ARENA : -1;
	in->streams[0] = in->streams[1] = -1;
	in->program = p;
	in->event.fate = &in->fate;
	memset(&action, 0, sizeof action);
	action.sa_handler = aem_stop;
	action.sa_flags = SA_RESTART;
	aem_pid = getpid();
	sigaction(SIGTERM, &action, NULL);
	if ((ok = aem_map_page(in)) <= 0 || (ok = aem_first_arena(in, wish ? strtoull(wish, NULL, 10) : 1 << 20)) <= 0 ||
	    (ok = aem_confine(in)) <= 0)
		return ok;
	return aem_greet(in);
}

/* aem_block_at is an entry's block, section 7. The supervisor is trusted: what is checked is what would be a fault. */
static inline const struct aem_block *aem_block_at(const struct aem_inbox *in, const struct aem_entry *at)
{
	const struct aem_block *b;
	uint64_t offset = at->offset - (in->program->memory ? (uintptr_t)in->arena : 0);

	if (offset > in->arena_size || at->size > in->arena_size - offset || at->size < sizeof *b)
		return NULL;
	b = (const struct aem_block *)(in->arena + offset);
	if (b->magic != AEM_BLOCK_MAGIC || b->header_size < sizeof *b || b->data_at > at->size ||
	    b->data_size > at->size - b->data_at || (uint64_t)b->header_size + b->facts_size > b->data_at)
		return NULL;
	return b;
}

/* aem_own is the block as the zygote's own, that the child's is a copy of: a shared arena would not be one. */
static inline const struct aem_block *aem_own(struct aem_inbox *in, const struct aem_block *b, size_t size)
{
	if (!in->zygote || !in->shared)
		return b;
	if (size > in->copy_room) {
		char *more = (char *)realloc(in->copy, size);
		if (!more)
			return NULL;
		in->copy = more;
		in->copy_room = size;
	}
	return (const struct aem_block *)memcpy(in->copy, b, size);
}

/* aem_open takes the oldest published event. */
static inline int aem_open(struct aem_inbox *in)
{
	const struct aem_entry *at = &in->page->entries[in->taken % AEM_SLOTS];
	const struct aem_block *b = aem_block_at(in, at);
	struct aem_event *e = &in->event;
	int got;

	if (!b)
		return aem_broken("take event", "no block of ABI 1 where it should be");
	while (in->zygote ? in->streams[0] < 0 : (at->flags & 1) && in->passed < 0)
		if ((got = aem_receive(in)) <= 0)
			return got;
	if (!(b = aem_own(in, b, at->size)))
		return aem_broken("take event", strerror(errno));
	aem_store(&in->page->taken, ++in->taken);
	in->number = b->number;
	in->block = b;
	in->block_size = b->size;
	in->fate.delay_ms = in->fate.error.header.size = 0;
	in->fate.reply_size = 0;
	e->data = (const char *)b + b->data_at;
	e->size = b->data_size;
	e->fd = in->passed;
	in->passed = -1;
	e->id = b->id;
	e->job = b->job;
	e->time_ns = b->time;
	e->deadline_ns = b->deadline;
	e->attempt = b->attempt;
	e->count = b->count;
	e->priority = b->priority;
	e->facts = (const char *)b + b->header_size;
	e->facts_size = b->facts_size;
	e->interrupted = NULL;
	if (b->flags & AEM_INTERRUPTED && !(e->interrupted = aem_fact(e, "interrupted")))
		e->interrupted = "unknown";
	return 1;
}

/* aem_heed does what a message says, if there is one among what is ready. */
static inline int aem_heed(struct aem_inbox *in, const struct epoll_event *ready, int n)
{
	int got, i;

	for (i = 0; i < n; i++) {
		if (ready[i].data.u64 != AEM_WAIT_CHANNEL)
			continue;
		if ((got = aem_receive(in)) <= 0 || (got == AEM_KIND_GROW && (got = aem_grow(in)) <= 0) ||
		    (got == AEM_KIND_ALLOC && (got = aem_place(in)) <= 0))
			return got;
	}
	return 1;
}

/* aem_sleep waits for the doorbell or a message, and does what the message says. */
static inline int aem_sleep(struct aem_inbox *in)
{
	struct epoll_event ready[2];
	int n = epoll_wait(aem_at.waiter, ready, 2, -1);

	if (n < 0 && errno != EINTR)
		return aem_broken("wait for event", strerror(errno));
	return aem_heed(in, ready, n);
}

/* aem_take is section 5: 1 with an event, 0 when none will come, -1. Where an event waits it makes no system call. */
static inline int aem_take(struct aem_inbox *in)
{
	int got;

	while (!aem_stopped) {
		if (aem_load(&in->page->head) != in->taken)
			return aem_open(in);
		if (in->ending)
			return 0;
		aem_store(&in->page->handler_sleeps, 1);
		got = aem_load(&in->page->head) != in->taken ? 1 : aem_sleep(in);
		aem_store(&in->page->handler_sleeps, 0);
		if (got <= 0)
			return got;
	}
	return 0;
}

/* aem_send_words sends the reply of an event that is done, or why another is not. */
static inline int aem_send_words(struct aem_inbox *in, int done)
{
	struct aem_fate *f = &in->fate;
	struct aem_message piece;
	size_t at, n;
	int got = 1;

	if (!done) {
		f->reply_size = 0;
		return f->error.header.size == 0 ||
		       aem_send(&f->error.header, AEM_KIND_ERROR, f->error.header.size, (uint32_t)in->number);
	}
	f->error.header.size = 0;
	for (at = 0; at < f->reply_size && got > 0; at += n) {
		n = f->reply_size - at;
		if (n > AEM_MAX_BODY)
			n = AEM_MAX_BODY;
		memcpy(piece.body, f->reply + at, n);
		got = aem_send(&piece.header, AEM_KIND_REPLY, n, (uint32_t)in->number);
	}
	return got;
}

/* aem_judge sends the words of an answer, and fills it in: section 6. */
static inline int aem_judge(struct aem_inbox *in, int outcome, struct aem_answer *at)
{
	int got;

	if (outcome != AEM_DONE && outcome != AEM_FAIL)
		outcome = AEM_RETRY;
	if ((got = aem_send_words(in, outcome == AEM_DONE)) <= 0)
		return got;
	at->number = in->number;
	at->outcome = (uint64_t)in->fate.delay_ms << 32 | (unsigned)(outcome + 1);
	at->text = in->fate.error.header.size;
	at->reply = in->fate.reply_size;
	at->reserved = 0;
	return 1;
}

/* aem_tell answers on the page. From its end on the event's memory is the supervisor's. */
static inline int aem_tell(struct aem_inbox *in, int outcome)
{
	struct aem_memory *m = in->program->memory;
	const uint64_t one = 1;
	int got;

	if ((got = aem_judge(in, outcome, &in->page->answers[in->answered % AEM_SLOTS])) <= 0)
		return got;
	aem_store(&in->page->answered, ++in->answered);
	if (aem_load(&in->page->supervisor_sleeps) &&
	    __atomic_exchange_n(&in->page->supervisor_sleeps, 0, __ATOMIC_SEQ_CST) &&
	    write(aem_at.answers, &one, sizeof one) < 0 && errno != EAGAIN) /* EAGAIN: rung more than enough */
		return aem_broken("ring answers", strerror(errno));
	if (m && m->free)
		m->free(m, (void *)in->block, in->block_size);
	return 1;
}

/* aem_call calls the handler with what is around it. Its event's descriptor is not for later. */
static inline int aem_call(struct aem_inbox *in)
{
	const struct aem_program *p = in->program;
	const struct aem_event *e = &in->event;
	int outcome = AEM_DONE, ended = AEM_DONE;

	if (!e->interrupted) {
		if (p->construct)
			outcome = p->construct(e, p->ctx);
		if (outcome == AEM_DONE)
			outcome = p->run(e, p->ctx);
	}
	if (p->destruct)
		ended = p->destruct(e, p->ctx);
	if (e->fd >= 0)
		close(e->fd);
	return outcome != AEM_DONE ? outcome : ended;
}

/* aem_live is the life of a zygote's child: section 10. It returns the child's exit status. */
static inline int aem_live(struct aem_inbox *in)
{
	struct aem_header born;
	struct {
		struct aem_header header;
		struct aem_answer answer;
	} message;
	const pid_t self = getpid();
	int i, outcome;

	setsid(); /* so that what it starts can be ended with it */
	if (aem_send(&born, AEM_KIND_BORN, 0, (uint32_t)in->number) <= 0)
		return 1;
	for (i = 0; i < AEM_STREAMS; i++) {
		dup2(in->streams[i], i + 1);
		close(in->streams[i]);
	}
	outcome = aem_call(in);
	fflush(NULL);
	if (getpid() != self)
		return 0; /* the handler forked, and the fork came back too: it has no say */
	return aem_judge(in, outcome, &message.answer) <= 0 ||
	       aem_send(&message.header, AEM_KIND_ANSWER, sizeof message.answer, (uint32_t)in->number) <= 0;
}

/* aem_fork has a copy of the process run the event: section 10. */
static inline int aem_fork(struct aem_inbox *in)
{
	struct aem_word unborn;
	struct aem_child *more;
	pid_t pid = -1;
	int i;

	if (in->child_count == in->child_room) {
		more = (struct aem_child *)realloc(in->children, (in->child_room + AEM_SLOTS) * sizeof *more);
		if (!more)
			return aem_broken("make room for child", strerror(errno));
		in->children = more;
		in->child_room += AEM_SLOTS;
	}
	fflush(NULL); /* or each child would write it again */
	if ((pid = fork()) == 0)
		_exit(aem_live(in));
	unborn.word = errno;
	for (i = 0; i < AEM_STREAMS; i++) {
		close(in->streams[i]);
		in->streams[i] = -1;
	}
	if (in->event.fd >= 0)
		close(in->event.fd);
	if (pid < 0)
		return aem_send(&unborn.header, AEM_KIND_UNBORN, sizeof unborn.word, (uint32_t)in->number);
	in->children[in->child_count].number = (uint32_t)in->number;
	in->children[in->child_count++].pid = pid;
	return 1;
}

/* aem_warn_of_threads tells who calls fork that there are threads which a copy has not. */
static inline void aem_warn_of_threads(void)
{
	struct stat tasks; /* each is a folder, beside the two that every folder has */

	if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3)
		fprintf(stderr, "aem: this zygote has %lu threads and its copies will have one: "
				"a lock that another holds at a fork is never let go in the copy\n",
			(unsigned long)tasks.st_nlink - 2);
}

static inline int aem_run_program(const struct aem_program *p)
{
	struct aem_inbox in;
	int ok;

	if (!aem_asked("AEM_ABI", "1")) {
		fputs("not started by aem-exec: AEM_ABI is not 1 "
		      "(name this program in a handler's exec, with handover = \"direct\")\n", stderr);
		return 2;
	}
	if (aem_asked("AEM_ALLOC", "app") != (p->memory != NULL)) {
		fputs(p->memory ? "the program says where events land (memory): its handler needs arena.alloc = \"app\"\n"
				: "arena.alloc is \"app\": the program has to say where events land (memory)\n", stderr);
		return 1;
	}
	if ((ok = aem_start(&in, p)) > 0 && in.zygote)
		aem_warn_of_threads();
	while (ok > 0 && (ok = aem_take(&in)) > 0)
		ok = in.zygote ? aem_fork(&in) : aem_tell(&in, aem_call(&in));
	free(in.fate.reply);
	free(in.children);
	free(in.copy);
	return ok < 0 ? 1 : 0;
}

static inline int aem_run(aem_handler *f, void *ctx)
{
	const struct aem_program p = {f, NULL, NULL, ctx, 0, NULL};

	return aem_run_program(&p);
}

#endif
