// The handler that peers and cold agents run for each connection: it sends the first line back. Under CGI, which has no
// connection, the line is the query.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	const char *query = getenv("GATEWAY_INTERFACE") ? getenv("QUERY_STRING") : NULL;
	char line[4096];
	size_t n = 0;
	if (query)
		return printf("Content-Type: text/plain\r\n\r\n%s\n", query) < 0;
	do {
		ssize_t got = read(0, line + n, sizeof line - n);
		if (got <= 0)
			return 1;
		n += got;
	} while (!memchr(line, '\n', n) && n < sizeof line);
	return write(1, line, n) != (ssize_t)n;
}
