/*
 * ev/register.h: what programs of evctl.h ask for: jobs of each kind of event, and what is done to jobs.
 */
#ifndef AEM_EV_REGISTER_H
#define AEM_EV_REGISTER_H

#include "jobs.h"

static inline struct ev_job ev_like(int kind, int fd, unsigned long flags, void (*f)(void))
{
	struct ev_job j;

	memset(&j, 0, sizeof j);
	j.kind = kind;
	j.fd = fd;
	j.flags = flags;
	j.handler = f;
	return j;
}

/* ev_register makes a job of one event: the keys that make it, and conditions where it is of a socket. */
static inline int ev_register(const char *name, struct ev_text *keys, const char *conditions, struct ev_job *like)
{
	struct ev_text t = {NULL, 0, 0, 0};
	const char *ids;
	int place;

	if (like->flags & ~(EVF_ONESHOT | EVF_FORK | EVF_NOCLDWAIT | EVF_STOPPED | EVF_INHERIT) || !like->handler) {
		free(keys->at);
		return ev_refuse(EINVAL);
	}
	ev_put(&t, "{\"events\":[{\"name\":\"%s\",\"event\":{%s%s}", name, keys->failed ? "" : keys->at,
	       like->flags & EVF_STOPPED ? "" : ",\"start\":true");
	if (conditions)
		ev_put(&t, ",\"socket\":0,\"conditions\":[%s]", conditions);
	ev_put(&t, "%s}]}", like->flags & EVF_INHERIT ? ",\"inherit\":true" : "");
	t.failed |= keys->failed;
	free(keys->at);
	if (ev_begin() < 0 || (place = ev_reserve()) < 0) {
		free(t.at);
		return -1;
	}
	if (!(ids = ev_member(ev_ask(EV_OP_REGISTER, &t, conditions ? like->fd : -1), "ids")))
		return errno ? -1 : ev_refuse(EPROTO);
	if (strncmp(ids, "[[", 2) != 0 || !(like->job = ev_job_id(ids + 2)))
		return ev_refuse(EPROTO);
	if (place == ev.free)
		ev.free = ev.jobs[place].next[0];
	else
		ev.job_count++;
	like->id = ++ev.last_id;
	ev.jobs[place] = *like;
	ev_link(place);
	return like->id;
}

/* ev_socket registers what a socket is waited for. */
static inline int ev_socket(const char *name, int kind, int fd, unsigned long flags, const char *conditions, void (*f)(void),
			    struct sockaddr *addr, int *addrlen)
{
	struct ev_text keys = {NULL, 0, 0, 0};
	struct ev_job j = ev_like(kind, fd, flags, f);

	j.addr = addr;
	j.addrlen = addrlen;
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
	struct ev_job j = ev_like(EV_SK, sockfd, flags, (void (*)(void))f);
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
	struct ev_job j = ev_like(EV_TIMER, -1, flags, (void (*)(void))f);
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
		int place = ev_find(EV_BY_JOB, ev_job_id(ev_member(++jobs, "id")));
		for (i = 0; i < n; i++)
			if (place >= 0 && jids[i] == ev.jobs[place].id)
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

static inline int evaround(int jid, evconstructor *construct, evdestructor *destruct)
{
	int place = ev_place(jid);

	if (place < 0)
		return -1;
	ev.jobs[place].construct = construct;
	ev.jobs[place].destruct = destruct;
	return 0;
}

#endif
