// An echo server on libevent's bufferevents.
//
//	echo-event PORT

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

static void came(struct bufferevent *b, void *ctx)
{
	(void)ctx;
	evbuffer_add_buffer(bufferevent_get_output(b), bufferevent_get_input(b));
}

static void ended(struct bufferevent *b, short what, void *ctx)
{
	(void)ctx;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_free(b);
}

static void connected(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *peer, int size, void *ctx)
{
	int one = 1;
	struct bufferevent *b = bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
	(void)peer;
	(void)size;
	(void)ctx;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	bufferevent_setcb(b, came, NULL, ended, NULL);
	bufferevent_enable(b, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(argc == 2 ? atoi(argv[1]) : 0), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct event_base *base = event_base_new();
	if (!base || !evconnlistener_new_bind(base, connected, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 1024, (struct sockaddr *)&at, sizeof at)) {
		perror("echo-event");
		return 1;
	}
	return event_base_dispatch(base);
}
