/*
 * Spool writes each event's data to a file, by DMA from where it landed: O_DIRECT wants memory that begins at a page, and
 * this program's own allocator sees to that. It is a handler for any event with data:
 *
 *	exec     = ["./spool", "/var/spool/orders"]
 *	handover = "direct"
 *	life     = "resident"
 *	arena    = { size = "16MiB", alloc = "app" }
 */
#include "aem.h"

static const size_t page = 4096;
static unsigned live; /* blocks that were given out */
static char *top;     /* where the last of them ends */

static size_t pages(size_t size) { return (size + page - 1) & ~(page - 1); }

/* land puts blocks one behind the other: whole pages with the data, and before them whole pages for what precedes it. */
static void *land(struct aem_memory *m, size_t size, size_t data_at)
{
	char *at = live == 0 ? m->start : top;
	size_t head = pages(data_at), whole = head + pages(size - data_at);

	if (whole > m->size || at > m->start + m->size - whole)
		return NULL;
	live++;
	top = at + whole;
	return at + head - data_at;
}

static void taken(struct aem_memory *m, void *block, size_t size)
{
	(void)m, (void)block, (void)size;
	live--;
}

static int spool(const struct aem_event *e, void *ctx)
{
	size_t whole = pages(e->size);
	char name[64];
	int fd, ok;

	(void)ctx;
	snprintf(name, sizeof name, "%llu", (unsigned long long)e->id);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	if (fd < 0)
		return aem_retry(e, 0, "open %s: %s", name, strerror(errno));
	ok = (whole == 0 || write(fd, e->data, whole) == (ssize_t)whole) && ftruncate(fd, e->size) == 0 && fsync(fd) == 0;
	close(fd);
	return ok ? AEM_DONE : aem_retry(e, 0, "write %s: %s", name, strerror(errno));
}

int main(int argc, char **argv)
{
	struct aem_memory memory = {NULL, 0, land, taken, NULL};
	const struct aem_program p = {spool, NULL, NULL, NULL, 16, &memory};

	if (argc != 2 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: spool FOLDER\n");
		return 2;
	}
	return aem_run_program(&p);
}
