/* parts.c tries the parts of evctl.h that are reached by few calls: text and JSON, and many jobs at once. It says "all" when each
 * does what it is to do, and else which does not. */
#include "evctl.h"

enum { MANY = 9000 }; /* whose ids are more than one frame */

static int called[MANY], strangers;
static int ids[MANY];

static void must(int ok, const char *what)
{
	if (!ok) {
		printf("failed %s: %s (%s)\n", what, strerror(errno), evwhy());
		exit(1);
	}
}

static void texts(void)
{
	static const char object[] = "{\"ab\":[1,[2],{}],\"a\":{\"n\":7,\"s\":\"}\\\",\\\\\"},\"s\":\"x\\ny\\\"\\\\\\u0041\\u00e9z\",\"n\":-1,\"t\":\"12345\"}";
	struct ev_text t = {NULL, 0, 0, 0};
	char s[16], small[4];
	int i;

	ev_quote(&t, "a\"b\\c\nd\x1f\xc3\xa9");
	must(strcmp(t.at, "\"a\\\"b\\\\c\\u000ad\\u001f\xc3\xa9\"") == 0, "quote");
	for (i = 0; i < 300; i++) { /* one by one, over each bound of its memory */
		ev_put(&t, "%c", 'x');
		must(t.size < t.room && strlen(t.at) == t.size && t.at[t.size - 1] == 'x', "put");
	}
	free(t.at);
	must(ev_number(ev_member(object, "a"), "n") == 7, "member of a member");
	ev_string(s, sizeof s, ev_member(object, "a"), "s");
	must(strcmp(s, "}\",\\") == 0, "string with brackets and quotes");
	must(ev_member(object, "ab") && ev_member(object, "ab")[0] == '[', "member whose name begins as another's");
	ev_string(s, sizeof s, object, "s");
	must(strcmp(s, "x\ny\"\\A?z") == 0, "escaped characters");
	ev_string(small, sizeof small, object, "t");
	must(strcmp(small, "123") == 0, "string that is cut");
	must((int)ev_number(object, "n") == -1 && !ev_member(object, "none") && !ev_member("[]", "n") && !ev_member(NULL, "n"), "members");
	ev_string(s, sizeof s, object, "none");
	must(s[0] == 0, "no string");
}

/* places has the supervisor looked for where ctl does. */
static void places(void)
{
	char was[200], longest[200];
	struct sockaddr_un to;

	snprintf(was, sizeof was, "%s", getenv("AEM_RUNTIME_DIR"));
	setenv("RUNTIME_DIRECTORY", "/run/one:/run/other", 1);
	must(ev_where(&to) == 0 && strncmp(to.sun_path, was, strlen(was)) == 0, "AEM_RUNTIME_DIR");
	setenv("AEM_RUNTIME_DIR", "", 1);
	must(ev_where(&to) == 0 && strcmp(to.sun_path, "/run/one/control.sock") == 0, "RUNTIME_DIRECTORY");
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = 0;
	setenv("RUNTIME_DIRECTORY", longest, 1);
	must(ev_where(&to) < 0 && errno == ENAMETOOLONG, "a long one");
	unsetenv("RUNTIME_DIRECTORY");
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	must(ev_where(&to) == 0 && strcmp(to.sun_path, geteuid() ? "/run/user/7/aem/control.sock" : "/run/aem/control.sock") == 0, "the user's own");
	setenv("AEM_RUNTIME_DIR", was, 1);
}

static int place_of(int jid)
{
	int i;

	for (i = 0; i < MANY && ids[i] != jid; i++)
		;
	return i;
}

static void once(int jid, int count)
{
	int i = place_of(jid);

	strangers += i == MANY || count != 1;
	if (i < MANY)
		called[i]++;
}

static void changed(int jid, int sockfd, int old_state, int new_state) { (void)jid, (void)sockfd, (void)old_state, (void)new_state; }
static void came(int jid, int sockfd, const char *data, int size) { (void)jid, (void)sockfd, (void)data, (void)size; }

static int registered(int hours)
{
	const struct timespec in = {hours * 3600, hours ? 0 : 1}, never = {0, 0};
	int id = evtimer(in, never, EVF_STOPPED, once);

	must(id > 0, "evtimer");
	return id;
}

static void many(void)
{
	struct evstatus *s = (struct evstatus *)calloc(MANY, sizeof *s);
	int i, left[MANY / 2], gone[MANY / 2], handled = 0;

	for (i = 0; i < MANY; i++)
		ids[i] = registered(1);
	must(evctl_all(ids, MANY, EVJOBPRIO, 12) == 0 && evctl_all(ids, MANY, EVJOBLOOKUP, (unsigned long)s) == 0, "priority of many");
	for (i = 0; i < MANY; i++)
		must(s[i].priority == 12 && strcmp(s[i].state, "stopped") == 0, "status of many");
	for (i = 0; i < MANY / 2; i++) {
		left[i] = ids[2 * i];
		gone[i] = ids[2 * i + 1];
	}
	must(evctl_all(gone, MANY / 2, EVJOBSHTDN, 0) == 0, "remove every other one");
	must(evctl_all(gone, 1, EVJOBSTART, 0) < 0 && errno == ENOENT && evctl_all(ids, 2, EVJOBSTART, 0) < 0 && errno == ENOENT, "one is stale");
	must(evctl_all(left, MANY / 2, EVJOBSTART, 0) == 0 && evctl(-1, EVJOBSTOP, 0) == 0, "start and stop");
	must(evctl_all(left, MANY / 2, EVJOBLOOKUP, (unsigned long)s) == 0 && strcmp(s[MANY / 2 - 1].state, "stopped") == 0, "status of what is left");
	for (i = 0; i < MANY / 2; i++) { /* in the places of those, and others run */
		ids[2 * i + 1] = registered(0);
		must(ids[2 * i + 1] != gone[i] && place_of(gone[i]) == MANY, "an id of its own");
		must(evctl(ids[2 * i + 1], EVJOBSTART, 0) == 0, "start");
		handled += evdispatch();
	}
	while (handled < MANY / 2) {
		struct pollfd waits = {evfd(), POLLIN, 0};
		poll(&waits, 1, 1000);
		i = evdispatch();
		must(i >= 0 && i <= AEM_SLOTS, "evdispatch");
		handled += i;
	}
	for (i = 0; i < MANY; i++)
		must(called[i] == i % 2, "each handler is called once");
	must(strangers == 0, "by its own id");
	must(evctl(ids[1], EVJOBSTART, 0) < 0 && errno == ENOENT, "what is once is gone");
	must(evctl(-1, EVJOBSHTDN, 0) == 0 && evctl(ids[0], EVJOBSTART, 0) < 0, "remove all");
	free(s);
}

/* ids_again has the same place be given again and again: its ids are others. */
static void ids_again(void)
{
	int i, first = registered(1), last = first;

	for (i = 0; i < 600; i++) {
		int before = last;
		must(evctl(last, EVJOBSHTDN, 0) == 0, "remove");
		last = registered(1);
		must(last == before + 1, "another id");
		must(evctl(before, EVJOBSTART, 0) < 0 && errno == ENOENT, "stale id");
	}
}

static void refusals(void)
{
	const struct timespec back = {-1, 0}, soon = {1, 0};
	struct evstatus s;
	int descriptors = dup(0);

	close(descriptors);
	must(evtimer(back, soon, 0, once) < 0 && errno == EINVAL && evtimer(soon, back, 0, once) < 0 && errno == EINVAL, "time before now");
	must(evtimer(soon, soon, 0, NULL) < 0 && errno == EINVAL, "no handler");
	must(evctl(-1, EVJOBLOOKUP, (unsigned long)&s) < 0 && errno == EINVAL && evctl(-1, 2, 0) < 0 && errno == EINVAL, "no such operation");
	must(sockasync_sk(0, 0, changed) < 0 && errno == ENOTSOCK, "no socket");
	must(sockasync_read(0, EVF_STOPPED, came) < 0 && evwhy()[0] != 0, "not a socket that can be watched");
	must(evctl(registered(1), EVJOBSTOP, 0) == 0 && evwhy()[0] == 0, "why is of the last call");
	must(dup(0) == descriptors, "descriptors stay as they are");
	close(descriptors);
}

int main(void)
{
	const struct timespec hour = {3600, 0};
	int i, was[16];

	texts();
	places();
	for (i = 3; i < 16; i++)
		was[i] = fcntl(i, F_GETFD) >= 0;
	must(evinit("none-of-ours", NULL) < 0 && errno == ENOENT && strstr(evwhy(), "none-of-ours") != NULL, "no such app");
	must(registered(1) == 1, "attach by itself");
	for (i = 3; i < 16; i++)
		must(fcntl(i, F_GETFD) < 0 || was[i] || fcntl(i, F_GETFD) == FD_CLOEXEC, "descriptors end at exec");
	refusals();
	many();
	ids_again();
	ev.last_id = INT_MAX;
	must(evtimer(hour, hour, 0, once) < 0 && errno == EDQUOT, "no more ids");
	puts("all");
	return 0;
}
