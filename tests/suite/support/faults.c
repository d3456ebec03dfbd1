/* Stands between the binary and the kernel, and lets calls upon the queue's files fail, hang, or be the process's last.
 * What is to happen is read at each call from the file FAULTS: a call's name or "any", and an errno or "hang", parted by a
 * space; or "die" and the number of the call, from 1, at which the process is killed, a write half done; empty, all works.
 * Calls that name a path count only under FAULTS_UNDER; those upon a descriptor are made by nothing but the queue. Each is
 * noted in FAULTS_TRACE, with the monotonic time in microseconds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HANG = -1, DIE = -2 };

static int planned(const char *call, int number) {
    char text[64] = {0};
    const char *file = getenv("FAULTS");
    long fd = file ? syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return 0;
    long length = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    char *space = length > 0 ? strchr(text, ' ') : NULL;
    if (!space) return 0;
    *space = 0;
    if (!strcmp(text, "die")) return number >= atoi(space + 1) ? DIE : 0;
    if (strcmp(text, "any") && strcmp(text, call)) return 0;
    return strncmp(space + 1, "hang", 4) ? atoi(space + 1) : HANG;
}

static void note(const char *call) {
    const char *file = getenv("FAULTS_TRACE");
    long fd = file ? syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char line[64];
    int length = snprintf(line, sizeof line, "%s %lld\n", call, now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    syscall(SYS_write, fd, line, length);
    syscall(SYS_close, fd);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int plan_of(const char *call, const char *path) {
    static int calls;
    const char *under = getenv("FAULTS_UNDER");
    if (path && (!under || strncmp(path, under, strlen(under)))) return 0;
    int plan, number = __sync_add_and_fetch(&calls, 1);
    note(call);
    while ((plan = planned(call, number)) == HANG) usleep(1000);
    return plan;
}

/* Whether the call fails; errno says with what. */
static int fails(const char *call, const char *path) {
    int plan = plan_of(call, path);
    if (plan == DIE) die();
    errno = plan;
    return plan;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (fails(flags & O_CREAT ? "create" : "open", path)) return -1;
    return REAL(open64)(path, flags, mode);
}
ssize_t pread64(int fd, void *into, size_t length, off64_t at) {
    return fails("read", NULL) ? -1 : REAL(pread64)(fd, into, length, at);
}
ssize_t pwrite64(int fd, const void *from, size_t length, off64_t at) {
    int plan = plan_of("write", NULL);
    if (plan == DIE) {
        REAL(pwrite64)(fd, from, length / 2, at);
        die();
    }
    errno = plan;
    return plan ? -1 : REAL(pwrite64)(fd, from, length, at);
}
int ftruncate64(int fd, off64_t length) { return fails("truncate", NULL) ? -1 : REAL(ftruncate64)(fd, length); }
int fdatasync(int fd) { return fails("sync", NULL) ? -1 : REAL(fdatasync)(fd); }
int fsync(int fd) { return fails("sync_directory", NULL) ? -1 : REAL(fsync)(fd); }
int flock(int fd, int how) { return fails("lock", NULL) ? -1 : REAL(flock)(fd, how); }
int unlink(const char *path) { return fails("unlink", path) ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { return fails("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }
DIR *opendir(const char *path) { return fails("list", path) ? NULL : REAL(opendir)(path); }
