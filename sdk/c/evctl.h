/*
 * evctl.h: AEM's own calls, in C. A program registers events while it runs, and handles them in its own flow. Its code is in
 * the folder ev beside it and in aem.h, libc only; include it first, and in one file of a program.
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
 * has registered ends; a fork of it begins with nothing, or inherits. docs/control.md has what is said here.
 */
#ifndef AEM_EVCTL_H
#define AEM_EVCTL_H

#include "aem.h"
#include <time.h>

/*
 * Each call returns a job's id, 1 or more, or -1 with errno; evwhy says more. The id is the first argument of the handler,
 * and what evctl acts on. Jobs are started at once, unless flags say otherwise.
 */
#define EVF_ONESHOT (1ul << 18)   /* it is removed when its handler has returned for the first time */
#define EVF_FORK (1ul << 20)      /* its handler runs in a copy of the program, by fork, that ends with it; the program goes on at once */
#define EVF_NOCLDWAIT (1ul << 21) /* and the copy is not the program's to wait for */
#define EVF_STOPPED (1ul << 24)   /* it is not started: EVJOBSTART does that */
#define EVF_INHERIT (1ul << 25)   /* a fork of the program may have it too: evinherit. Not for sockets of the program */

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

/*
 * What is called right before a job's handler, and right after it, from now on; each may be NULL. Both are called in the
 * program itself: with EVF_FORK the constructor before the copy is made, and the destructor when the copy has ended, in
 * evdispatch or enter_keepalive. What the constructor returns is handed to the destructor; died is 1 if the copy ended before
 * its handler had returned, or could not be made, else 0. What the copy itself has forked, and not exec'ed, ends first.
 */
typedef void *evconstructor(int jid, int sockfd);
typedef void evdestructor(int jid, void *made, int died);
static inline int evaround(int jid, evconstructor *construct, evdestructor *destruct);

/* evinherit attaches a fork of the program, before its first other call: it has what the program had registered with
 * EVF_INHERIT, by the same ids, and stopped. To the supervisor they are jobs of their own, which end with the fork. It returns
 * how many they are, or -1 with errno: EPERM if the program has ended, ESRCH if it was not attached. */
static inline int evinherit(void);

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

#include "ev/events.h"

#endif
