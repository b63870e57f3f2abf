/*
 * ev/events.h: what an event comes to in a program of evctl.h: its handler is called, here or in a copy of the program.
 */
#ifndef AEM_EV_EVENTS_H
#define AEM_EV_EVENTS_H

#include "register.h"
#include <poll.h>

enum { EV_READ_BYTES = 65536, EV_ACCEPTS = 64 };
#define EV_COPY ((uint64_t)1 << 32) /* what the waiter reports of copies */

/* ev_fork makes the copy that a handler runs in: 0 there, 1 in the program, -1 with errno. */
static inline int ev_fork(unsigned long flags)
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

/* ev_watch has the program woken when a copy's handler has returned, or the copy has ended: it opens what tells. */
static inline int ev_watch(int jid, const struct ev_job *j, void *made, int ends[2])
{
	struct epoll_event waits;
	struct ev_copy *c;

	if (ev.copy_count == ev.copy_room) {
		if (!(c = (struct ev_copy *)realloc(ev.copies, (ev.copy_room + AEM_SLOTS) * sizeof *c)))
			return -1;
		ev.copies = c;
		ev.copy_room += AEM_SLOTS;
	}
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	waits.events = EPOLLIN | EPOLLET;
	waits.data.u64 = EV_COPY;
	if (epoll_ctl(aem_at.waiter, EPOLL_CTL_ADD, ends[0], &waits) < 0) {
		int error = errno;
		close(ends[0]);
		close(ends[1]);
		return ev_refuse(error);
	}
	c = &ev.copies[ev.copy_count++];
	c->pipe = ends[0];
	c->jid = jid;
	c->destruct = j->destruct;
	c->made = made;
	return 0;
}

/* ev_destruct calls the destructors of copies that have ended. */
static inline void ev_destruct(void)
{
	size_t i = 0;
	char returned;

	while (i < ev.copy_count) {
		struct ev_copy c = ev.copies[i];
		ssize_t n = read(c.pipe, &returned, 1);
		if (n < 0) {
			i++;
			continue;
		}
		epoll_ctl(aem_at.waiter, EPOLL_CTL_DEL, c.pipe, NULL); /* other copies have it too: to close it is not enough */
		close(c.pipe);
		memmove(&ev.copies[i], &ev.copies[i + 1], (--ev.copy_count - i) * sizeof c);
		evhold();
		c.destruct(c.jid, c.made, n == 0);
		evrelease();
	}
}

/* ev_run calls a handler with what is its own: data, and one or two numbers. */
static inline void ev_run(int jid, const struct ev_job *j, const char *data, int a, int b)
{
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
}

/* ev_run_copy is ev_run in a copy of the program, for which the program calls the destructor later. */
static inline int ev_run_copy(int jid, const struct ev_job *j, void *made, const char *data, int a, int b)
{
	int ends[2], here;

	if (j->destruct && ev_watch(jid, j, made, ends) < 0)
		return -1;
	if ((here = ev_fork(j->flags)) == 0) {
		if (ev.mask)
			sigprocmask(SIG_SETMASK, ev.mask, NULL);
		ev_run(jid, j, data, a, b);
		fflush(NULL);
		_exit(j->destruct && write(ends[1], "", 1) != 1);
	}
	if (j->destruct)
		close(ends[1]); /* if there is no copy, this is the end of it */
	return here < 0 ? -1 : 0;
}

/* ev_call calls a handler with what is around it. It returns 0, or -1 with errno. */
static inline int ev_call(int jid, const struct ev_job *j, const char *data, int a, int b)
{
	void *made = j->construct ? j->construct(jid, j->fd) : NULL;

	if (j->flags & EVF_FORK)
		return ev_run_copy(jid, j, made, data, a, b);
	ev_run(jid, j, data, a, b);
	if (j->destruct)
		j->destruct(jid, made, 0);
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
	int outcome = AEM_DONE, place = ev_find(EV_BY_JOB, e->job), called = 0, jid;
	struct ev_job j; /* as it is now: its handler may remove it */

	(void)ctx;
	if (place < 0)
		return aem_fail(e, "the job has no handler in this program");
	j = ev.jobs[place];
	jid = j.id;
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
	if (ev.held == 0)
		ev_destruct();
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
	ev.mask = &before;
	do {
		n = evdispatch();
		if (n == 0)
			n = ev_wait(-1, &before);
		else if (n > 0 && ev_signalled(&before)) /* a sleep that finds something ready does not look */
			n = ev_refuse(EINTR);
	} while (n >= 0);
	error = errno;
	ev.mask = NULL;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
}

#endif
