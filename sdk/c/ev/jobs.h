/*
 * ev/jobs.h: what a program of evctl.h has registered: how it attaches, what its jobs are, and what is done to them.
 */
#ifndef AEM_EV_JOBS_H
#define AEM_EV_JOBS_H

#include "control.h"
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <sys/prctl.h>

enum { EV_ACCEPT, EV_READ, EV_CLOSE, EV_SK, EV_SOCK, EV_TIMER };
enum { EV_BY_ID, EV_BY_JOB, EV_INDEXES };
enum { EV_AHEAD = 16, EV_MOST_JOBS = 1 << 22 };

/* A job as the program knows it. No id is given twice, so that a removed one is not taken for another. */
struct ev_job {
	uint64_t job;  /* the supervisor's id; 0: the place is free */
	uint64_t heir; /* while a fork inherits: that of its own job */
	int next[EV_INDEXES]; /* place in the same bucket, or, in the first, free too; -1: none */
	int id, kind, fd;
	unsigned long flags;
	struct sockaddr *addr;
	int *addrlen;
	void (*handler)(void);
	evconstructor *construct;
	evdestructor *destruct;
};

/* A handler that runs in a copy of the program. */
struct ev_copy {
	int pipe; /* that it says in when its handler has returned, and that ends with it */
	int jid;
	evdestructor *destruct;
	void *made; /* by the constructor */
};

static struct {
	struct aem_inbox in;
	pid_t pid; /* whose it is; 0: nobody's */
	int held;
	const sigset_t *mask; /* of the program, while enter_keepalive has another one */
	struct ev_text identity; /* how it attached: JSON, but for its end */
	char token[80];
	struct ev_job *jobs;
	int *buckets[EV_INDEXES]; /* first places, as many as there is room for jobs */
	int job_count, job_room, free, last_id;
	struct ev_copy *copies;
	size_t copy_count, copy_room;
} ev;

static inline const char *evwhy(void) { return ev_control.why; }
static inline void evhold(void) { ev.held++; }
static inline void evrelease(void) { ev.held--; }

static inline int ev_handle(const struct aem_event *e, void *ctx);
static const struct aem_program ev_program = {ev_handle, NULL, NULL, NULL, EV_AHEAD, NULL};

/* ev_greet becomes an agent, by what the answer to attach brought: docs/abi.md, section 1. */
static inline int ev_greet(const char *given)
{
	struct aem_inbox *in = &ev.in;
	size_t size = ev_number(given, "arena_size");
	char copy[16];

	memset(in, 0, sizeof *in);
	ev_string(copy, sizeof copy, given, "copy");
	in->shared = strcmp(copy, "shared") == 0;
	if (ev_number(given, "abi") != 1 || ev_control.passed_count != (size_t)(4 + in->shared))
		return ev_refuse(EPROTO);
	aem_at.channel = ev_control.passed[0];
	aem_at.page = ev_control.passed[1];
	aem_at.waiter = ev_control.passed[2];
	aem_at.answers = ev_control.passed[3];
	in->passed = in->shared ? ev_control.passed[4] : -1;
	in->streams[0] = in->streams[1] = -1;
	in->program = &ev_program;
	in->event.fate = &in->fate;
	if (aem_map_page(in) <= 0 || aem_first_arena(in, size) <= 0 || aem_greet(in) <= 0)
		return ev_refuse(EPROTO);
	return 0;
}

/* ev_attach attaches the program by its identity and a token, "" for none, and is what the supervisor gave, or NULL. */
static inline const char *ev_attach(const char *token)
{
	struct ev_text t = {NULL, 0, 0, 0};
	struct ucred peer;
	socklen_t size = sizeof peer;
	const char *given = NULL;
	int error;

	memset(&ev_control, 0, sizeof ev_control);
	ev.pid = getpid();
	ev.held = 0;
	ev.copy_count = 0;
	t.failed = ev.identity.failed;
	ev_put(&t, "%s,\"token\":\"%s\"}", ev.identity.at ? ev.identity.at : "", token);
	if (ev_connect() < 0) {
		free(t.at);
	} else {
		if (getsockopt(ev_control.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
			prctl(PR_SET_PTRACER, peer.pid, 0, 0, 0); /* it opens this memory before it answers; without Yama it is refused */
		given = ev_ask(EV_OP_ATTACH, &t, -1);
	}
	if (given && ev_greet(given) < 0)
		given = NULL;
	error = errno;
	prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	if (given) {
		ev_string(ev.token, sizeof ev.token, given, "token");
		return given;
	}
	close(ev_control.fd);
	ev.pid = 0;
	errno = error;
	return NULL;
}

/* ev_leave lets go of what a fork has of its parent's. */
static inline void ev_leave(void)
{
	size_t i;

	close(ev_control.fd);
	close(aem_at.channel);
	close(aem_at.page);
	close(aem_at.waiter);
	close(aem_at.answers);
	for (i = 0; i < ev.copy_count; i++)
		close(ev.copies[i].pipe);
}

static inline int evinit(const char *app, const char *settings)
{
	if (ev.pid == getpid())
		return ev_refuse(EALREADY);
	if (ev.pid != 0)
		ev_leave();
	memset(&ev, 0, sizeof ev);
	ev.free = -1;
	ev_put(&ev.identity, "{\"app\":");
	ev_quote(&ev.identity, app);
	ev_put(&ev.identity, settings ? ",\"handler\":%s" : "%s", settings ? settings : "");
	return ev_attach("") ? 0 : -1;
}

/* ev_begin attaches the program if it is not. */
static inline int ev_begin(void)
{
	const char *app = getenv("AEM_APP");

	return ev.pid == getpid() ? 0 : evinit(app ? app : program_invocation_short_name, NULL);
}

static inline int *ev_bucket(int index, uint64_t key) { return &ev.buckets[index][(key ^ key >> 32) % (unsigned)ev.job_room]; }

static inline uint64_t ev_key(int index, int place) { return index == EV_BY_ID ? (uint64_t)ev.jobs[place].id : ev.jobs[place].job; }

/* ev_find is the place of the job that an index has under a key, -1 if there is none. */
static inline int ev_find(int index, uint64_t key)
{
	int place = ev.job_room ? *ev_bucket(index, key) : -1;

	while (place >= 0 && ev_key(index, place) != key)
		place = ev.jobs[place].next[index];
	return place;
}

/* ev_place is where the job of an id is; -1 with errno. */
static inline int ev_place(int id)
{
	int place = ev_find(EV_BY_ID, (unsigned)id);

	return place >= 0 ? place : ev_refuse(ENOENT);
}

/* ev_link puts a job in its buckets. */
static inline void ev_link(int place)
{
	int index;

	for (index = 0; index < EV_INDEXES; index++) {
		int *at = ev_bucket(index, ev_key(index, place));
		ev.jobs[place].next[index] = *at;
		*at = place;
	}
}

/* ev_sort puts each job in its buckets. */
static inline void ev_sort(void)
{
	int i, index;

	for (index = 0; index < EV_INDEXES; index++)
		for (i = 0; i < ev.job_room; i++)
			ev.buckets[index][i] = -1;
	for (i = 0; i < ev.job_count; i++)
		if (ev.jobs[i].job)
			ev_link(i);
}

/* ev_reserve finds a free place for one job more; -1 with errno. */
static inline int ev_reserve(void)
{
	int index, room = ev.job_room ? 2 * ev.job_room : 64;
	struct ev_job *jobs;

	if (ev.last_id == INT_MAX)
		return ev_refuse(EDQUOT);
	if (ev.free >= 0)
		return ev.free;
	if (ev.job_count < ev.job_room)
		return ev.job_count;
	if (room > EV_MOST_JOBS)
		return ev_refuse(EDQUOT);
	if (!(jobs = (struct ev_job *)realloc(ev.jobs, room * sizeof *jobs)))
		return -1;
	ev.jobs = jobs;
	for (index = 0; index < EV_INDEXES; index++) {
		int *buckets = (int *)realloc(ev.buckets[index], room * sizeof *buckets);
		if (!buckets)
			return -1;
		ev.buckets[index] = buckets;
	}
	ev.job_room = room;
	ev_sort();
	return ev.job_count;
}

/* ev_forget frees a place. */
static inline void ev_forget(int place)
{
	struct ev_job *j = &ev.jobs[place];
	int index;

	for (index = 0; index < EV_INDEXES; index++) {
		int *at = ev_bucket(index, ev_key(index, place));
		while (*at != place)
			at = &ev.jobs[*at].next[index];
		*at = j->next[index];
	}
	j->job = 0;
	j->next[0] = ev.free;
	ev.free = place;
}

/* ev_job_id reads an id as the supervisor writes it; 0 for none. */
static inline uint64_t ev_job_id(const char *text)
{
	unsigned slot, generation;

	return text && sscanf(text, "\"%u:%u\"", &slot, &generation) == 2 ? (uint64_t)generation << 32 | slot : 0;
}

static inline int evinherit(void)
{
	const char *p;
	int i, n = 0;

	if (ev.pid == 0 || ev.pid == getpid())
		return ev_refuse(ev.pid ? EALREADY : ESRCH);
	ev_leave();
	if (!(p = ev_attach(ev.token)))
		return -1;
	for (p = ev_member(p, "inherited"); p && (*p == '[' || *p == ','); p = ev_skip(p)) {
		uint64_t job = ev_job_id(ev_member(++p, "id"));
		int place = ev_find(EV_BY_JOB, ev_job_id(ev_member(p, "parent")));
		if (place >= 0)
			ev.jobs[place].heir = job;
	}
	for (i = 0; i < ev.job_count; i++)
		if (ev.jobs[i].job && !ev.jobs[i].heir)
			ev_forget(i);
	for (i = 0; i < ev.job_count; i++)
		if (ev.jobs[i].heir) {
			ev.jobs[i].job = ev.jobs[i].heir;
			ev.jobs[i].heir = 0;
			n++;
		}
	ev_sort();
	return n;
}

#endif
