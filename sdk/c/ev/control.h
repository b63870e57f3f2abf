/*
 * ev/control.h: what evctl.h asks of the supervisor, over its control socket: requests and results in JSON, a frame or several
 * for each. docs/control.md has what is said here.
 */
#ifndef AEM_EV_CONTROL_H
#define AEM_EV_CONTROL_H

#include "../aem.h"
#include <sys/un.h>

enum { EV_FRAME = 65536, EV_DESCRIPTORS = 5 };
enum { EV_OP_LOOKUP = 3, EV_OP_START = 4, EV_OP_STOP = 5, EV_OP_REMOVE = 7, EV_OP_PRIORITY = 15, EV_OP_FILTER = 16 };
enum { EV_OP_TIMEOUT = 17, EV_OP_CLEAN = 18, EV_OP_ATTACH = 20, EV_OP_REGISTER = 21 };

/* Text that grows. */
struct ev_text {
	char *at;
	size_t size, room;
	int failed;
};

/* The connection. */
static struct {
	int fd;
	uint32_t sequence; /* of the last request */
	struct ev_text reply;
	int passed[EV_DESCRIPTORS]; /* what came with it */
	size_t passed_count;
	char why[512];
} ev_control;

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

	ev_control.sequence++;
	do {
		struct ev_header h = {{'A', 'E', 'M', 'C'}, 1, sizeof h, 1, 0, (uint16_t)op, ev_control.sequence, 0, 0};
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
		while (sendmsg(ev_control.fd, &m, MSG_NOSIGNAL) < 0)
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

	ev_control.reply.size = ev_control.passed_count = 0;
	do {
		struct iovec parts[2] = {{&h, sizeof h}, {NULL, EV_FRAME}};
		struct msghdr m;
		if (!ev_room(&ev_control.reply, EV_FRAME))
			return ev_refuse(ENOMEM);
		parts[1].iov_base = ev_control.reply.at + ev_control.reply.size;
		memset(&m, 0, sizeof m);
		m.msg_iov = parts;
		m.msg_iovlen = 2;
		m.msg_control = &extra;
		m.msg_controllen = sizeof extra;
		do
			n = recvmsg(ev_control.fd, &m, MSG_CMSG_CLOEXEC);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n < 0 ? -1 : ev_refuse(EPIPE);
		c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_type == SCM_RIGHTS) {
			ev_control.passed_count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(ev_control.passed, CMSG_DATA(c), ev_control.passed_count * sizeof(int));
		}
		if (n < (ssize_t)sizeof h || memcmp(h.magic, "AEMC", 4) != 0 || h.version != 1 || h.args > n - sizeof h)
			return ev_refuse(EPROTO);
		ev_control.reply.size += h.args;
	} while (h.flags & 1);
	ev_control.reply.at[ev_control.reply.size] = 0;
	return h.sequence == ev_control.sequence ? 0 : ev_refuse(EPROTO);
}

/* ev_ask has an operation done and is its result, NULL with errno. It takes the text. */
static inline const char *ev_ask(int op, struct ev_text *t, int fd)
{
	const char *result = NULL;
	int error = t->failed ? ENOMEM : 0;

	ev_control.why[0] = 0;
	if (!error && (ev_send(op, t, fd) < 0 || ev_receive() < 0))
		error = errno;
	free(t->at);
	if (!error && (error = (int)ev_number(ev_control.reply.at, "errno")) != 0)
		ev_string(ev_control.why, sizeof ev_control.why, ev_control.reply.at, "error");
	if (!error && !(result = ev_member(ev_control.reply.at, "result")))
		error = EPROTO;
	errno = error;
	return result;
}

/* ev_variable is what the environment has under a name, NULL for nothing. */
static inline const char *ev_variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* ev_where is the control socket that `aem-exec ctl` would ask; -1 with errno. */
static inline int ev_where(struct sockaddr_un *to)
{
	const char *named = ev_variable("AEM_RUNTIME_DIR"), *systemd = ev_variable("RUNTIME_DIRECTORY"), *user = ev_variable("XDG_RUNTIME_DIR");
	char dir[sizeof to->sun_path + 1];

	if (named)
		snprintf(dir, sizeof dir, "%s", named);
	else if (systemd)
		snprintf(dir, sizeof dir, "%.*s", (int)strcspn(systemd, ":"), systemd); /* the first of a list: man 5 systemd.exec */
	else if (geteuid() == 0)
		snprintf(dir, sizeof dir, "/run/aem");
	else if (user && *user == '/')
		snprintf(dir, sizeof dir, "%s/aem", user);
	else
		snprintf(dir, sizeof dir, "/tmp/aem-%u", (unsigned)geteuid());
	memset(to, 0, sizeof *to);
	to->sun_family = AF_UNIX;
	if (snprintf(to->sun_path, sizeof to->sun_path, "%s/control.sock", dir) >= (int)sizeof to->sun_path)
		return ev_refuse(ENAMETOOLONG);
	return 0;
}

/* ev_connect takes the connection that a handler process was started with, or connects to that socket. */
static inline int ev_connect(void)
{
	struct sockaddr_un to;

	if (getenv("AEM_CONTROL")) {
		unsetenv("AEM_CONTROL"); /* it is one connection */
		ev_control.fd = AEM_CONTROL;
		return fcntl(AEM_CONTROL, F_SETFD, FD_CLOEXEC);
	}
	if (ev_where(&to) < 0 || (ev_control.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	return connect(ev_control.fd, (struct sockaddr *)&to, sizeof to);
}

#endif
