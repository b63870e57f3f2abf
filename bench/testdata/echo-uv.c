// An echo server on libuv. A connection has one buffer and one request, so that nothing is allocated for a message.
//
//	echo-uv PORT

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct connection {
	uv_tcp_t tcp;
	uv_write_t request;
	char data[1 << 16];
};

static void closed(uv_handle_t *h) { free(h->data); }

static void lend(uv_handle_t *h, size_t wanted, uv_buf_t *into)
{
	struct connection *c = h->data;
	(void)wanted;
	*into = uv_buf_init(c->data, sizeof c->data);
}

static void wrote(uv_write_t *request, int status)
{
	(void)request;
	(void)status; // the next read tells
}

static void came(uv_stream_t *s, ssize_t n, const uv_buf_t *from)
{
	struct connection *c = s->data;
	if (n > 0) {
		uv_buf_t back = uv_buf_init(from->base, n);
		uv_write(&c->request, s, &back, 1, wrote);
	} else if (n < 0) {
		uv_close((uv_handle_t *)s, closed);
	}
}

static void connected(uv_stream_t *listener, int status)
{
	struct connection *c = calloc(1, sizeof *c);
	if (status < 0 || !c || uv_tcp_init(listener->loop, &c->tcp) < 0)
		exit(1);
	c->tcp.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0)
		exit(1);
	uv_tcp_nodelay(&c->tcp, 1);
	uv_read_start((uv_stream_t *)&c->tcp, lend, came);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at;
	uv_tcp_t listener;
	uv_ip4_addr("127.0.0.1", argc == 2 ? atoi(argv[1]) : 0, &at);
	uv_tcp_init(uv_default_loop(), &listener);
	uv_tcp_bind(&listener, (const struct sockaddr *)&at, 0);
	int err = uv_listen((uv_stream_t *)&listener, 1024, connected);
	if (err < 0) {
		fprintf(stderr, "echo-uv: %s\n", uv_strerror(err));
		return 1;
	}
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
