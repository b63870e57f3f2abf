/*
 * evctl.h: AEM's own calls, in C. A program registers events while it runs, and handles them in its own flow. One header
 * beside aem.h, libc only; include it first, and in one file of a program.
 *
 *	#include "evctl.h"
 *	static void accepted(int jid, int old_sockfd, int new_sockfd) { ... }
 *	...
 *	id = sockasync_accept(sfd, (struct sockaddr *)&c_addr, &c_len, 0, accepted);
 *	enter_keepalive();
 *
 * The first call attaches the program to the app that the variable AEM_APP names, or that has the program's name, of the
 * supervisor that `aem-exec ctl` would ask. All calls are made on one thread, and handlers are called there: by
 * enter_keepalive and evdispatch, one at a time, never in the middle of anything else. When the program ends, all that it
 * has registered ends; a fork of it begins with nothing. docs/control.md has what is said here.
 */
#ifndef AEM_EVCTL_H
#define AEM_EVCTL_H

#include "aem.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <time.h>

/*
 * Each call returns a job's id, 1 or more, or -1 with errno; evwhy says more. The id is the first argument of the handler,
 * and what evctl acts on. Jobs are started at once, unless flags say otherwise.
 */
#define EVF_ONESHOT (1ul << 18)   /* it is removed when its handler has returned for the first time */
#define EVF_FORK (1ul << 20)      /* its handler runs in a copy of the program, by fork, that ends with it; the program goes on at once */
#define EVF_NOCLDWAIT (1ul << 21) /* and the copy is not the program's to wait for */
#define EVF_STOPPED (1ul << 24)   /* it is not started: EVJOBSTART does that */

/* A connection comes to a socket that listens. It is accepted into new_sockfd; addr, if it is not NULL, has room for *addrlen
 * bytes of the peer's address, which are there when f is called. */
typedef void evaccept_handler(int jid, int old_sockfd, int new_sockfd);
static inline int sockasync_accept(int sockfd, struct sockaddr *addr, int *addrlen, unsigned long flags, evaccept_handler *f);

/* Data came: up to 65536 bytes of a stream, or one datagram. size 0: the peer has ended its side; -1: errno says what went
 * wrong. With these two the job is removed before f is called. */
typedef void evread_handler(int jid, int sockfd, const char *data, int size);
static inline int sockasync_read(int sockfd, unsigned long flags, evread_handler *f);

/* The peer has closed, or ended its side. The job is removed before f is called. */
typedef void evclose_handler(int jid, int sockfd);
static inline int sockasync_close(int sockfd, unsigned long flags, evclose_handler *f);

/* A TCP socket, which has an address, went from one state to another: TCP_ESTABLISHED and the like of netinet/tcp.h. For
 * root and the supervisor's own user. */
typedef void evsk_handler(int jid, int sockfd, int old_state, int new_state);
static inline int sockasync_sk(int sockfd, unsigned long flags, evsk_handler *f);

/* A socket can be read, is ended by its peer or has an error: POLLIN, POLLRDHUP, POLLERR. It is told again as long as it is
 * so. */
typedef void evsock_handler(int jid, int sockfd, int conditions);
static inline int sockasync_sock(int sockfd, unsigned long flags, evsock_handler *f);

/* interval from now, and then every period; count is how often it was due. A period of 0 is once, and the job is removed
 * after it. */
typedef void evtimer_handler(int jid, int count);
static inline int evtimer(struct timespec interval, struct timespec period, unsigned flags, evtimer_handler *f);

/*
 * A socket is the program's, and stays as it is: the supervisor only waits for it. It has a copy of it until its job is
 * removed, so that to close it the job is removed first.
 */

/* What evctl does, to one job or, with -1, to all of the program. It returns 0, or -1 with errno, and then has done nothing.
 * It may be called in a handler. */
enum {
	EVJOBPRIO = 1,    /* args: the priority */
	EVJOBSHTDN = 3,   /* removes it: what waits is shed, the id means nothing any more */
	EVJOBSTART = 4,   /* has it detect */
	EVJOBSTOP = 5,    /* ends that; what waits stays */
	EVJOBFILTER = 6,  /* args: a char *, an expression as in the file; an empty one takes all */
	EVJOBTIMEOUT = 7, /* args: a struct timespec *, how long a handler may run; 0 for ever */
	EVJOBLOOKUP = 8,  /* args: a struct evstatus *, to be filled in */
	EVJOBCLEAN = 9    /* sheds what waits */
};
static inline int evctl(int jid, unsigned op, unsigned long args);

/* evctl_all is evctl for n jobs in one message: all are there, or nothing is done. EVJOBLOOKUP fills in n statuses. */
static inline int evctl_all(const int *jids, size_t n, unsigned op, unsigned long args);

struct evstatus {
	char state[16]; /* stopped armed held failing ended */
	int priority;
	unsigned long long detected, done, failed, expired, shed, waiting, running;
};

/* enter_keepalive handles events as they come, until a signal arrives that is caught: its handler has run then, and errno is
 * EINTR. Signals wait while an event is handled. It also returns, with errno EPIPE, when the supervisor has ended, or what it
 * has with this program. */
static inline void enter_keepalive(void);

/* For a loop of the program's own: evfd polls readable when evdispatch has something to do. That handles what is there, 64
 * events at the most, and returns how many they were, or -1 with errno. evfd is to be polled when that was 0. */
static inline int evfd(void);
static inline int evdispatch(void);

/* Between evhold and evrelease no handler is called; events wait. They nest, and are no system calls. A handler runs held. */
static inline void evhold(void);
static inline void evrelease(void);

/* evinit attaches to an app; settings is NULL, or an object in JSON with keys of a handler as docs/control.md has them. It is
 * not needed before the other calls. */
static inline int evinit(const char *app, const char *settings);

/* evwhy is what the supervisor said to what it refused last, "" for nothing. */
static inline const char *evwhy(void);

/* ------------------------------------------------------------------------------------------------------------------
 * The rest is how it is done: what is registered, what is asked of the supervisor, what an event comes to.
 */

enum { EV_ACCEPT, EV_READ, EV_CLOSE, EV_SK, EV_SOCK, EV_TIMER };
enum { EV_AHEAD = 16, EV_READ_BYTES = 65536, EV_FRAME = 65536, EV_ACCEPTS = 64 };
enum { EV_OP_LOOKUP = 3, EV_OP_START = 4, EV_OP_STOP = 5, EV_OP_REMOVE = 7, EV_OP_PRIORITY = 15, EV_OP_FILTER = 16 };
enum { EV_OP_TIMEOUT = 17, EV_OP_CLEAN = 18, EV_OP_ATTACH = 20, EV_OP_REGISTER = 21 };
enum { EV_INDEX_BITS = 22, EV_GENERATIONS = 511, EV_DESCRIPTORS = 5 };

/* A job as the program knows it. Its id is its place and a generation, so that a removed one is not taken for its heir. */
struct ev_job {
	uint64_t job; /* the supervisor's id; 0: the place is free */
	int next;     /* place in the same bucket, or free too; -1: none */
	int generation, kind, fd;
	unsigned long flags;
	struct sockaddr *addr;
	int *addrlen;
	void (*handler)(void);
};

/* Text that grows. */
struct ev_text {
	char *at;
	size_t size, room;
	int failed;
};

static struct {
	struct aem_inbox in;
	pid_t pid; /* whose it is; 0: nobody's */
	int control, held;
	uint32_t sequence;
	struct ev_job *jobs;
	int *buckets; /* first places, by job */
	int job_count, job_room, bucket_count, free;
	struct ev_text reply;
	int passed[EV_DESCRIPTORS];
	size_t passed_count;
	char why[512];
} ev;

static inline const char *evwhy(void) { return ev.why; }
static inline void evhold(void) { ev.held++; }
static inline void evrelease(void) { ev.held--; }

static inline int ev_refuse(int error)
{
	errno = error;
	return -1;
}

/* ev_room makes room for more bytes and a NUL. */
static inline int ev_room(struct ev_text *t, size_t more)
{
	size_t room = t->room ? t->room : 256;
	char *at;

	while (room - t->size <= more)
		room *= 2;
	if (room != t->room) {
		if (t->failed || !(at = (char *)realloc(t->at, room))) {
			t->failed = 1;
			return 0;
		}
		t->at = at;
		t->room = room;
	}
	return 1;
}

static inline void ev_put(struct ev_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void ev_put(struct ev_text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0 || !ev_room(t, n))
		return;
	va_start(args, format);
	t->size += vsnprintf(t->at + t->size, n + 1, format, args);
	va_end(args);
}

/* ev_quote puts a string as JSON has it. */
static inline void ev_quote(struct ev_text *t, const char *s)
{
	ev_put(t, "\"");
	for (; *s; s++)
		ev_put(t, (unsigned char)*s < 0x20 ? "\\u%04x" : *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	ev_put(t, "\"");
}

/* ev_skip is behind a value of JSON without spaces, as the supervisor writes it. */
static inline const char *ev_skip(const char *p)
{
	int depth = 0;

	if (!strchr("{[\"", *p))
		return p + strcspn(p, ",]}");
	do {
		if (*p == '"')
			for (p++; *p && *p != '"'; p++)
				p += *p == '\\' && p[1];
		depth += *p == '{' || *p == '[';
		depth -= *p == '}' || *p == ']';
		p += *p != 0;
	} while (depth > 0 && *p);
	return p;
}

/* ev_member is the value of an object's member, NULL if there is none. */
static inline const char *ev_member(const char *p, const char *name)
{
	size_t size = strlen(name);

	if (!p || *p++ != '{')
		return NULL;
	while (*p == '"') {
		const char *key = p + 1, *value = ev_skip(p) + 1;
		if ((size_t)(value - 2 - key) == size && memcmp(key, name, size) == 0)
			return value;
		p = ev_skip(value);
		p += *p == ',';
	}
	return NULL;
}

static inline unsigned long long ev_number(const char *object, const char *name)
{
	const char *p = ev_member(object, name);

	return p ? strtoull(p, NULL, 10) : 0;
}

/* ev_string copies a member that is a string, cut to size; of characters that are escaped it has those of ASCII. */
static inline void ev_string(char *to, size_t size, const char *object, const char *name)
{
	const char *p = ev_member(object, name), *end = p ? ev_skip(p) - 1 : NULL;
	size_t n = 0;
	unsigned code;

	for (p = p ? p + 1 : NULL; p < end && n + 1 < size; p++) {
		int escaped = *p == '\\' && p + 1 < end;
		p += escaped;
		to[n++] = escaped && *p == 'n' ? '\n' : *p;
		if (escaped && *p == 'u' && sscanf(p + 1, "%4x", &code) == 1) {
			to[n - 1] = code < 0x80 ? (char)code : '?';
			p += 4;
		}
	}
	to[n] = 0;
}

/* What every frame begins with: docs/control.md. */
struct ev_header {
	char magic[4];
	uint16_t version, size;
	uint8_t kind, flags;
	uint16_t op;
	uint32_t sequence, args, data;
};
typedef char ev_header_is_24[sizeof(struct ev_header) == 24 ? 1 : -1];

/* ev_send sends a request, in as many frames as it takes, and with the first of them a descriptor, if it is one. */
static inline int ev_send(int op, const struct ev_text *t, int fd)
{
	const size_t most = EV_FRAME - sizeof(struct ev_header);
	size_t at = 0, n;

	ev.sequence++;
	do {
		struct ev_header h = {{'A', 'E', 'M', 'C'}, 1, sizeof h, 1, 0, (uint16_t)op, ev.sequence, 0, 0};
		struct iovec parts[2] = {{&h, sizeof h}, {t->at + at, 0}};
		union {
			struct cmsghdr header;
			char bytes[CMSG_SPACE(sizeof fd)];
		} extra;
		struct msghdr m;
		n = t->size - at < most ? t->size - at : most;
		parts[1].iov_len = h.args = n;
		h.flags = at + n < t->size; /* MORE */
		memset(&m, 0, sizeof m);
		m.msg_iov = parts;
		m.msg_iovlen = 2;
		if (at == 0 && fd >= 0) {
			memset(&extra, 0, sizeof extra);
			extra.header.cmsg_len = CMSG_LEN(sizeof fd);
			extra.header.cmsg_level = SOL_SOCKET;
			extra.header.cmsg_type = SCM_RIGHTS;
			memcpy(CMSG_DATA(&extra.header), &fd, sizeof fd);
			m.msg_control = &extra;
			m.msg_controllen = sizeof extra;
		}
		while (sendmsg(ev.control, &m, MSG_NOSIGNAL) < 0)
			if (errno != EINTR)
				return -1;
		at += n;
	} while (at < t->size);
	return 0;
}

/* ev_receive reads the reply, and keeps the descriptors that come with it. */
static inline int ev_receive(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(EV_DESCRIPTORS * sizeof(int))];
	} extra;
	struct ev_header h;
	struct cmsghdr *c;
	ssize_t n;

	ev.reply.size = ev.passed_count = 0;
	do {
		struct iovec parts[2] = {{&h, sizeof h}, {NULL, EV_FRAME}};
		struct msghdr m;
		if (!ev_room(&ev.reply, EV_FRAME))
			return ev_refuse(ENOMEM);
		parts[1].iov_base = ev.reply.at + ev.reply.size;
		memset(&m, 0, sizeof m);
		m.msg_iov = parts;
		m.msg_iovlen = 2;
		m.msg_control = &extra;
		m.msg_controllen = sizeof extra;
		do
			n = recvmsg(ev.control, &m, MSG_CMSG_CLOEXEC);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n < 0 ? -1 : ev_refuse(EPIPE);
		c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_type == SCM_RIGHTS) {
			ev.passed_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(ev.passed, CMSG_DATA(c), ev.passed_count * sizeof(int));
		}
		if (n < (ssize_t)sizeof h || memcmp(h.magic, "AEMC", 4) != 0 || h.version != 1 || h.args > n - sizeof h)
			return ev_refuse(EPROTO);
		ev.reply.size += h.args;
	} while (h.flags & 1);
	ev.reply.at[ev.reply.size] = 0;
	return h.sequence == ev.sequence ? 0 : ev_refuse(EPROTO);
}

/* ev_ask has an operation done and is its result, NULL with errno. It takes the text. */
static inline const char *ev_ask(int op, struct ev_text *t, int fd)
{
	const char *result = NULL;
	int error = t->failed ? ENOMEM : 0;

	ev.why[0] = 0;
	if (!error && (ev_send(op, t, fd) < 0 || ev_receive() < 0))
		error = errno;
	free(t->at);
	if (!error && (error = (int)ev_number(ev.reply.at, "errno")) != 0)
		ev_string(ev.why, sizeof ev.why, ev.reply.at, "error");
	if (!error && !(result = ev_member(ev.reply.at, "result")))
		error = EPROTO;
	errno = error;
	return result;
}

/* ev_connect connects to the supervisor that `aem-exec ctl` would ask. */
static inline int ev_connect(void)
{
	struct sockaddr_un to;
	const char *dir = getenv("AEM_RUNTIME_DIR"), *more = "";
	char own[32];

	if (!dir && (dir = getenv("RUNTIME_DIRECTORY")))
		more = ""; /* man 5 systemd.exec */
	else if (!dir && geteuid() == 0)
		dir = "/run/aem";
	else if (!dir && (dir = getenv("XDG_RUNTIME_DIR")))
		more = "/aem";
	else if (!dir) {
		snprintf(own, sizeof own, "/tmp/aem-%u", (unsigned)geteuid());
		dir = own;
	}
	memset(&to, 0, sizeof to);
	to.sun_family = AF_UNIX;
	if (snprintf(to.sun_path, sizeof to.sun_path, "%.*s%s/control.sock", (int)strcspn(dir, ":"), dir, more) >= (int)sizeof to.sun_path)
		return ev_refuse(ENAMETOOLONG);
	if ((ev.control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	return connect(ev.control, (struct sockaddr *)&to, sizeof to);
}

static inline int ev_handle(const struct aem_event *e, void *ctx);
static const struct aem_program ev_program = {ev_handle, NULL, NULL, NULL, EV_AHEAD, NULL};

/* ev_greet becomes an agent, by what the answer to attach brought: docs/abi.md, section 1. */
static inline int ev_greet(const char *given)
{
	struct aem_inbox *in = &ev.in;
	size_t size = ev_number(given, "arena_size");
	char copy[16];

	ev_string(copy, sizeof copy, given, "copy");
	in->shared = strcmp(copy, "shared") == 0;
	if (ev_number(given, "abi") != 1 || ev.passed_count != (size_t)(4 + in->shared))
		return ev_refuse(EPROTO);
	aem_at.channel = ev.passed[0];
	aem_at.page = ev.passed[1];
	aem_at.waiter = ev.passed[2];
	aem_at.answers = ev.passed[3];
	in->passed = in->shared ? ev.passed[4] : -1;
	in->streams[0] = in->streams[1] = -1;
	in->program = &ev_program;
	in->event.fate = &in->fate;
	if (aem_map_page(in) <= 0 || aem_first_arena(in, size) <= 0 || aem_greet(in) <= 0)
		return ev_refuse(EPROTO);
	return 0;
}

static inline int evinit(const char *app, const char *settings)
{
	struct ev_text t = {NULL, 0, 0, 0};
	struct ucred peer;
	socklen_t size = sizeof peer;
	const char *given;
	int error = 0;

	if (ev.pid == getpid())
		return ev_refuse(EALREADY);
	if (ev.pid != 0) { /* a fork: what it has is its parent's */
		close(ev.control);
		close(aem_at.channel);
	}
	memset(&ev, 0, sizeof ev);
	ev.free = -1;
	ev.pid = getpid();
	if (ev_connect() < 0)
		error = errno;
	ev_put(&t, "{\"app\":");
	ev_quote(&t, app);
	ev_put(&t, settings ? ",\"handler\":%s}" : "%s}", settings ? settings : "");
	if (!error && getsockopt(ev.control, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		prctl(PR_SET_PTRACER, peer.pid, 0, 0, 0); /* it opens this memory before it answers; without Yama it is refused */
	if (!error && (!(given = ev_ask(EV_OP_ATTACH, &t, -1)) || ev_greet(given) < 0))
		error = errno;
	prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	if (!error)
		return 0;
	close(ev.control);
	ev.pid = 0;
	return ev_refuse(error);
}

/* ev_begin attaches the program if it is not. */
static inline int ev_begin(void)
{
	const char *app = getenv("AEM_APP");

	return ev.pid == getpid() ? 0 : evinit(app ? app : program_invocation_short_name, NULL);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What is registered.
 */

static inline int *ev_bucket(uint64_t job) { return &ev.buckets[(job ^ job >> 32) % (unsigned)ev.bucket_count]; }

/* ev_reserve finds a free place for one job more; -1 with errno. */
static inline int ev_reserve(void)
{
	int i, room = ev.job_room ? 2 * ev.job_room : 64;
	struct ev_job *jobs;
	int *buckets;

	if (ev.free >= 0)
		return ev.free;
	if (ev.job_count < ev.job_room)
		return ev.job_count;
	if (room > 1 << EV_INDEX_BITS)
		return ev_refuse(EDQUOT);
	if (!(jobs = (struct ev_job *)realloc(ev.jobs, room * sizeof *jobs)))
		return -1;
	memset(jobs + ev.job_room, 0, (room - ev.job_room) * sizeof *jobs);
	ev.jobs = jobs;
	if (!(buckets = (int *)malloc(room * sizeof *buckets)))
		return -1;
	free(ev.buckets);
	ev.buckets = buckets;
	ev.job_room = ev.bucket_count = room;
	for (i = 0; i < room; i++)
		buckets[i] = -1;
	for (i = 0; i < ev.job_count; i++)
		if (jobs[i].job) {
			jobs[i].next = *ev_bucket(jobs[i].job);
			*ev_bucket(jobs[i].job) = i;
		}
	return ev.job_count;
}

static inline int ev_id(int place) { return ev.jobs[place].generation << EV_INDEX_BITS | (place + 1); }

/* ev_place is where the job of an id is; -1 with errno. */
static inline int ev_place(int jid)
{
	int place = (jid & ((1 << EV_INDEX_BITS) - 1)) - 1;

	if (jid <= 0 || place < 0 || place >= ev.job_count || !ev.jobs[place].job || ev_id(place) != jid)
		return ev_refuse(ENOENT);
	return place;
}

static inline int ev_place_of(uint64_t job)
{
	int place = ev.bucket_count ? *ev_bucket(job) : -1;

	while (place >= 0 && ev.jobs[place].job != job)
		place = ev.jobs[place].next;
	return place;
}

/* ev_forget frees a place; the next job there has another id. */
static inline void ev_forget(int place)
{
	struct ev_job *j = &ev.jobs[place];
	int *at = ev_bucket(j->job);

	while (*at != place)
		at = &ev.jobs[*at].next;
	*at = j->next;
	j->job = 0;
	j->generation = (j->generation + 1) & EV_GENERATIONS;
	j->next = ev.free;
	ev.free = place;
}

/* ev_register makes a job of one event: the keys that make it, and conditions where it is of a socket. */
static inline int ev_register(const char *name, struct ev_text *keys, const char *conditions, struct ev_job *like)
{
	struct ev_text t = {NULL, 0, 0, 0};
	const char *ids;
	unsigned slot, generation;
	int place;

	if (like->flags & ~(EVF_ONESHOT | EVF_FORK | EVF_NOCLDWAIT | EVF_STOPPED) || !like->handler) {
		free(keys->at);
		return ev_refuse(EINVAL);
	}
	ev_put(&t, "{\"events\":[{\"name\":\"%s\",\"event\":{%s%s}", name, keys->failed ? "" : keys->at,
	       like->flags & EVF_STOPPED ? "" : ",\"start\":true");
	if (conditions)
		ev_put(&t, ",\"socket\":0,\"conditions\":[%s]", conditions);
	ev_put(&t, "}]}");
	t.failed |= keys->failed;
	free(keys->at);
	if (ev_begin() < 0 || (place = ev_reserve()) < 0) {
		free(t.at);
		return -1;
	}
	if (!(ids = ev_member(ev_ask(EV_OP_REGISTER, &t, conditions ? like->fd : -1), "ids")))
		return errno ? -1 : ev_refuse(EPROTO);
	if (sscanf(ids, "[[\"%u:%u\"", &slot, &generation) != 2)
		return ev_refuse(EPROTO);
	if (place == ev.free)
		ev.free = ev.jobs[place].next;
	else
		ev.job_count++;
	like->generation = ev.jobs[place].generation;
	like->job = (uint64_t)generation << 32 | slot;
	ev.jobs[place] = *like;
	ev.jobs[place].next = *ev_bucket(like->job);
	*ev_bucket(like->job) = place;
	return ev_id(place);
}

/* ev_socket registers what a socket is waited for. */
static inline int ev_socket(const char *name, int kind, int fd, unsigned long flags, const char *conditions, void (*f)(void),
			    struct sockaddr *addr, int *addrlen)
{
	struct ev_text keys = {NULL, 0, 0, 0};
	struct ev_job j = {0, 0, 0, kind, fd, flags, addr, addrlen, f};

	ev_put(&keys, "\"type\":\"socket.ready\"");
	return ev_register(name, &keys, conditions, &j);
}

static inline int sockasync_accept(int sockfd, struct sockaddr *addr, int *addrlen, unsigned long flags, evaccept_handler *f)
{
	return ev_socket("accept", EV_ACCEPT, sockfd, flags, "\"in\"", (void (*)(void))f, addr, addrlen);
}

static inline int sockasync_read(int sockfd, unsigned long flags, evread_handler *f)
{
	return ev_socket("read", EV_READ, sockfd, flags, "\"in\"", (void (*)(void))f, NULL, NULL);
}

static inline int sockasync_close(int sockfd, unsigned long flags, evclose_handler *f)
{
	return ev_socket("close", EV_CLOSE, sockfd, flags, "\"hup\"", (void (*)(void))f, NULL, NULL);
}

static inline int sockasync_sock(int sockfd, unsigned long flags, evsock_handler *f)
{
	return ev_socket("sock", EV_SOCK, sockfd, flags, "\"in\",\"hup\"", (void (*)(void))f, NULL, NULL);
}

/* ev_address puts a comparison of a fact with one end of a socket. */
static inline int ev_address(struct ev_text *t, const char *fact, int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage at;
	socklen_t size = sizeof at;
	char text[INET6_ADDRSTRLEN];

	if (ask(fd, (struct sockaddr *)&at, &size) < 0)
		return -1;
	if (at.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&at;
		inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
		ev_put(t, "%s == \\\"%s:%u\\\"", fact, text, ntohs(in->sin_port));
	} else if (at.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&at;
		inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
		ev_put(t, "%s == \\\"[%s]:%u\\\"", fact, text, ntohs(in->sin6_port));
	} else
		return ev_refuse(EAFNOSUPPORT);
	return 0;
}

static inline int sockasync_sk(int sockfd, unsigned long flags, evsk_handler *f)
{
	struct ev_text keys = {NULL, 0, 0, 0};
	struct ev_job j = {0, 0, 0, EV_SK, sockfd, flags, NULL, NULL, (void (*)(void))f};
	struct sockaddr_storage peer;
	socklen_t size = sizeof peer;
	int connected = getpeername(sockfd, (struct sockaddr *)&peer, &size) == 0;

	ev_put(&keys, "\"type\":\"socket.state\",\"filter\":\"");
	if (ev_address(&keys, "local", sockfd, getsockname) < 0) {
		free(keys.at);
		return -1;
	}
	if (connected) {
		ev_put(&keys, " && ");
		ev_address(&keys, "peer", sockfd, getpeername);
	}
	ev_put(&keys, "\"");
	return ev_register("sk", &keys, NULL, &j);
}

static inline long long ev_nanoseconds(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }

static inline int evtimer(struct timespec interval, struct timespec period, unsigned flags, evtimer_handler *f)
{
	struct ev_text keys = {NULL, 0, 0, 0};
	struct ev_job j = {0, 0, 0, EV_TIMER, -1, flags, NULL, NULL, (void (*)(void))f};
	long long first = ev_nanoseconds(interval), every = ev_nanoseconds(period);

	if (first < 0 || every < 0)
		return ev_refuse(EINVAL);
	if (every == 0) {
		j.flags |= EVF_ONESHOT;
		ev_put(&keys, "\"type\":\"timer\",\"after\":\"%lldns\"", first ? first : 1);
	} else {
		ev_put(&keys, "\"type\":\"timer\",\"every\":\"%lldns\",", every);
		ev_put(&keys, first ? "\"first\":\"%lldns\"" : "\"first\":\"now\"", first);
	}
	return ev_register("timer", &keys, NULL, &j);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What is done to jobs.
 */

/* ev_select puts which jobs are meant; it is -1 with errno if one is not there. */
static inline int ev_select(struct ev_text *t, const int *jids, size_t n)
{
	size_t i;

	if (!jids) {
		ev_put(t, "{\"own\":true");
		return 0;
	}
	ev_put(t, "{\"selectors\":[");
	for (i = 0; i < n; i++) {
		int place = ev_place(jids[i]);
		if (place < 0)
			return -1;
		ev_put(t, "%s\"%u:%u\"", i ? "," : "", (unsigned)ev.jobs[place].job, (unsigned)(ev.jobs[place].job >> 32));
	}
	ev_put(t, "]");
	return 0;
}

static inline void ev_status(struct evstatus *s, const char *job)
{
	const char *counts = ev_member(job, "counts");

	ev_string(s->state, sizeof s->state, job, "state");
	s->priority = (int)ev_number(job, "priority");
	s->detected = ev_number(counts, "detected");
	s->done = ev_number(counts, "done");
	s->failed = ev_number(counts, "failed");
	s->expired = ev_number(counts, "expired");
	s->shed = ev_number(counts, "shed");
	s->waiting = ev_number(counts, "waiting");
	s->running = ev_number(counts, "running");
}

/* ev_statuses fills in the statuses of n jobs, whose order in the answer is their own. */
static inline int ev_statuses(struct evstatus *s, const int *jids, size_t n, const char *jobs)
{
	size_t i;

	for (; *jobs == '[' || *jobs == ','; jobs = ev_skip(jobs)) {
		const char *id = ev_member(++jobs, "id");
		unsigned slot, generation;
		if (!id || sscanf(id, "\"%u:%u\"", &slot, &generation) != 2)
			return ev_refuse(EPROTO);
		for (i = 0; i < n; i++)
			if (ev.jobs[ev_place(jids[i])].job == ((uint64_t)generation << 32 | slot))
				ev_status(&s[i], jobs);
	}
	return 0;
}

static inline int evctl_all(const int *jids, size_t n, unsigned op, unsigned long args)
{
	static const int ops[] = {0, EV_OP_PRIORITY, 0, EV_OP_REMOVE, EV_OP_START, EV_OP_STOP, EV_OP_FILTER, EV_OP_TIMEOUT, EV_OP_LOOKUP, EV_OP_CLEAN};
	struct ev_text t = {NULL, 0, 0, 0};
	const char *result;
	size_t i;

	if (op >= sizeof ops / sizeof *ops || ops[op] == 0 || (op == EVJOBLOOKUP && !jids))
		return ev_refuse(EINVAL);
	if (ev_begin() < 0)
		return -1;
	if (ev_select(&t, jids, n) < 0) {
		free(t.at);
		return ev_refuse(ENOENT);
	}
	if (op == EVJOBPRIO)
		ev_put(&t, ",\"priority\":%lu}", args);
	else if (op == EVJOBFILTER) {
		ev_put(&t, ",\"filter\":");
		ev_quote(&t, (const char *)args);
		ev_put(&t, "}");
	} else if (op == EVJOBTIMEOUT)
		ev_put(&t, ",\"quiet\":true,\"timeout_ns\":%lld}", ev_nanoseconds(*(const struct timespec *)args));
	else
		ev_put(&t, op == EVJOBLOOKUP ? "}" : ",\"quiet\":true}");
	if (!(result = ev_ask(ops[op], &t, -1)))
		return -1;
	if (op == EVJOBLOOKUP)
		return ev_statuses((struct evstatus *)args, jids, n, result);
	for (i = 0; op == EVJOBSHTDN && i < (jids ? n : (size_t)ev.job_count); i++)
		if (jids && ev_place(jids[i]) >= 0)
			ev_forget(ev_place(jids[i]));
		else if (!jids && ev.jobs[i].job)
			ev_forget((int)i);
	return 0;
}

static inline int evctl(int jid, unsigned op, unsigned long args) { return evctl_all(jid == -1 ? NULL : &jid, 1, op, args); }

/* ------------------------------------------------------------------------------------------------------------------
 * What an event comes to.
 */

/* ev_copy makes the copy that a handler runs in: 0 there, 1 in the program, -1 with errno. */
static inline int ev_copy(unsigned long flags)
{
	pid_t pid;

	fflush(NULL); /* or the copy would write it again */
	if ((pid = fork()) < 0)
		return -1;
	if (!(flags & EVF_NOCLDWAIT))
		return pid > 0;
	if (pid == 0 && fork() != 0)
		_exit(0); /* whose parent has ended, init waits for */
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return pid > 0;
}

/* ev_call calls a handler with what is its own: data, and one or two numbers. It returns 0, or -1 with errno. */
static inline int ev_call(int jid, const struct ev_job *j, const char *data, int a, int b)
{
	int here = j->flags & EVF_FORK ? ev_copy(j->flags) : 0;

	if (here != 0)
		return here < 0 ? -1 : 0;
	switch (j->kind) {
	case EV_ACCEPT:
		((evaccept_handler *)j->handler)(jid, j->fd, a);
		break;
	case EV_READ:
		((evread_handler *)j->handler)(jid, j->fd, data, a);
		break;
	case EV_CLOSE:
		((evclose_handler *)j->handler)(jid, j->fd);
		break;
	case EV_SK:
		((evsk_handler *)j->handler)(jid, j->fd, a, b);
		break;
	case EV_SOCK:
		((evsock_handler *)j->handler)(jid, j->fd, a);
		break;
	case EV_TIMER:
		((evtimer_handler *)j->handler)(jid, a);
	}
	if (j->flags & EVF_FORK) {
		fflush(NULL);
		_exit(0);
	}
	return 0;
}

/* ev_accept accepts what waits, and tells of each connection. */
static inline int ev_accept(const struct aem_event *e, int jid, const struct ev_job *j)
{
	int i;

	for (i = 0; i < EV_ACCEPTS; i++) {
		struct pollfd waits = {j->fd, POLLIN, 0};
		socklen_t size = j->addrlen ? *j->addrlen : 0;
		int fd;
		if (poll(&waits, 1, 0) <= 0)
			break; /* somebody else took it, or the program has closed the socket */
		if ((fd = accept4(j->fd, j->addrlen ? j->addr : NULL, j->addrlen ? &size : NULL, 0)) >= 0) {
			int called = ev_call(jid, j, NULL, fd, 0);
			if (called < 0 || j->flags & EVF_FORK)
				close(fd); /* the copy's */
			if (called < 0)
				return aem_fail(e, "fork: %s", strerror(errno));
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return aem_retry(e, 0, "accept: %s", strerror(errno));
		if (fd < 0 || j->flags & EVF_ONESHOT || ev_place(jid) < 0)
			break;
	}
	return AEM_DONE;
}

/* ev_read reads what came. An end is told once. */
static inline int ev_read(int jid, const struct ev_job *j)
{
	char *data = (char *)malloc(EV_READ_BYTES);
	ssize_t n = data ? recv(j->fd, data, EV_READ_BYTES, MSG_DONTWAIT) : -1;
	int error = errno, called = 0;

	if (n >= 0 || (error != EAGAIN && error != EINTR)) {
		if (n <= 0)
			evctl(jid, EVJOBSHTDN, 0);
		errno = error;
		called = ev_call(jid, j, data, (int)n, 0);
	}
	error = errno;
	free(data);
	errno = error;
	return called;
}

/* ev_state is the number of a state of TCP, by its name. */
static inline int ev_state(const char *name)
{
	static const char *const names[] = {"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"};
	size_t i;

	for (i = 1; name && i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	return 0; /* changes were lost */
}

static inline int ev_conditions(const char *text)
{
	return (strstr(text, "in") ? POLLIN : 0) | (strstr(text, "hup") ? POLLRDHUP : 0) | (strstr(text, "err") ? POLLERR : 0);
}

/* ev_handle calls the handler of an event's job. */
static inline int ev_handle(const struct aem_event *e, void *ctx)
{
	int outcome = AEM_DONE, place = ev_place_of(e->job), called = 0, jid;
	struct ev_job j; /* as it is now: its handler may remove it */

	(void)ctx;
	if (place < 0)
		return aem_fail(e, "the job has no handler in this program");
	j = ev.jobs[place];
	jid = ev_id(place);
	switch (j.kind) {
	case EV_ACCEPT:
		outcome = ev_accept(e, jid, &j);
		break;
	case EV_READ:
		called = ev_read(jid, &j);
		break;
	case EV_CLOSE:
		evctl(jid, EVJOBSHTDN, 0);
		called = ev_call(jid, &j, NULL, 0, 0);
		break;
	case EV_SK:
		called = ev_call(jid, &j, NULL, ev_state(aem_fact(e, "old")), ev_state(aem_fact(e, "new")));
		break;
	case EV_SOCK:
		called = ev_call(jid, &j, NULL, ev_conditions(aem_fact(e, "conditions")), 0);
		break;
	case EV_TIMER:
		called = ev_call(jid, &j, NULL, (int)e->count, 0);
	}
	if (called < 0)
		outcome = aem_retry(e, 0, "fork: %s", strerror(errno));
	if (j.flags & EVF_ONESHOT && outcome == AEM_DONE && ev_place(jid) >= 0)
		evctl(jid, EVJOBSHTDN, 0);
	return outcome;
}

static inline int evfd(void) { return ev_begin() < 0 ? -1 : aem_at.waiter; }

/* ev_wait waits for the doorbell or a message, with a signal mask if there is one, and does what the message says: 1 if there
 * was something, 0, or -1 with errno. */
static inline int ev_wait(int timeout, const sigset_t *mask)
{
	struct epoll_event ready[2];
	int n = epoll_pwait(aem_at.waiter, ready, 2, timeout, mask);

	if (n < 0)
		return -1;
	return aem_heed(&ev.in, ready, n) > 0 ? n > 0 : ev_refuse(EPIPE);
}

static inline int evdispatch(void)
{
	struct aem_inbox *in = &ev.in;
	int n = 0, got;

	if (ev_begin() < 0)
		return -1;
	while (ev.held == 0 && n < AEM_SLOTS) {
		if (aem_load(&in->page->head) != in->taken) {
			if (aem_open(in) <= 0)
				return ev_refuse(EPIPE);
			evhold();
			got = aem_call(in);
			evrelease();
			if (aem_tell(in, got) <= 0)
				return ev_refuse(EPIPE);
			n++;
			continue;
		}
		if (in->ending)
			return n ? n : ev_refuse(EPIPE);
		if ((got = ev_wait(0, NULL)) < 0 && errno != EINTR)
			return -1;
		if (got > 0)
			continue;
		aem_store(&in->page->handler_sleeps, 1);
		if (aem_load(&in->page->head) == in->taken)
			break; /* the waiter tells when it is worth another look */
	}
	return n;
}

/* ev_signalled reports whether a signal waits that would end a sleep under a mask. */
static inline int ev_signalled(const sigset_t *mask)
{
	sigset_t waits;
	struct sigaction a;
	int s;

	sigpending(&waits);
	for (s = 1; s < NSIG; s++)
		if (sigismember(&waits, s) == 1 && sigismember(mask, s) == 0 && sigaction(s, NULL, &a) == 0 && a.sa_handler != SIG_IGN &&
		    (a.sa_handler != SIG_DFL || (s != SIGCHLD && s != SIGURG && s != SIGWINCH && s != SIGCONT)))
			return 1;
	return 0;
}

static inline void enter_keepalive(void)
{
	static const int never[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT}; /* that a program makes itself */
	sigset_t blocked, before;
	size_t i;
	int n, error;

	if (ev_begin() < 0)
		return;
	sigfillset(&blocked);
	for (i = 0; i < sizeof never / sizeof *never; i++)
		sigdelset(&blocked, never[i]);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	do {
		n = evdispatch();
		if (n == 0)
			n = ev_wait(-1, &before);
		else if (n > 0 && ev_signalled(&before)) /* a sleep that finds something ready does not look */
			n = ev_refuse(EINTR);
	} while (n >= 0);
	error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
}

#endif
