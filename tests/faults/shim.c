/* Between a program and its C library: the Nth write below some directories fails, and the clock is another.
 *
 * Loaded by LD_PRELOAD. What it shall do lies in shared memory (System V: no file, so no sandbox is in the way),
 * named by FAULTS_SHM; FAULTS_UNDER has the directories, divided by colons. Every process of a run counts the same
 * writes, so that "the 37th" is the 37th of them all. Without FAULTS_SHM it does nothing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define ROOM 8192
#define WORDS 120

struct shared {
    _Atomic int32_t count;  /* writes so far */
    int32_t at;             /* which fails; 0: none */
    int32_t lasting;        /* and every one after it */
    int32_t error;          /* with this errno */
    int64_t clock;          /* seconds that the clock is ahead */
    char seen[ROOM][WORDS]; /* what each write was */
};

static struct shared *shared;
static const char *under;

static int attached(void) {
    if (shared == NULL) {
        const char *id = getenv("FAULTS_SHM");
        if (id == NULL) return 0;
        void *found = shmat(atoi(id), NULL, 0);
        if (found == (void *)-1) return 0;
        under = getenv("FAULTS_UNDER");
        shared = found;
    }
    return 1;
}

static int below(const char *path) {
    for (const char *one = under; one != NULL && *one != '\0';) {
        size_t length = strcspn(one, ":");
        if (strncmp(path, one, length) == 0 && (path[length] == '/' || path[length] == '\0')) return 1;
        one += length + (one[length] == ':');
    }
    return 0;
}

/* Whether this one shall fail; errno is set. */
static int fails(const char *what, const char *path) {
    int32_t number = atomic_fetch_add(&shared->count, 1) + 1;
    if (number <= ROOM) snprintf(shared->seen[number - 1], WORDS, "%s %s", what, path);
    if (shared->at == 0 || number < shared->at || (number > shared->at && !shared->lasting)) return 0;
    errno = shared->error;
    return 1;
}

static int path_fails(const char *what, int directory, const char *path) {
    char whole[PATH_MAX + NAME_MAX], place[64];
    if (!attached() || under == NULL || path == NULL) return 0;
    if (path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        ssize_t length;
        if (directory == AT_FDCWD) snprintf(place, sizeof place, "/proc/self/cwd");
        else snprintf(place, sizeof place, "/proc/self/fd/%d", directory);
        length = readlink(place, whole, PATH_MAX - 1);
        if (length < 0) return 0;
        snprintf(whole + length, sizeof whole - length, "/%s", path);
    }
    return below(whole) && fails(what, whole);
}

static int descriptor_fails(const char *what, int descriptor) {
    char place[64], whole[PATH_MAX];
    if (!attached() || under == NULL) return 0;
    snprintf(place, sizeof place, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(place, whole, sizeof whole - 1);
    if (length < 0) return 0;
    whole[length] = '\0';
    return below(whole) && fails(what, whole);
}

#define REAL(result, name, ...)                                                        \
    static result (*real)(__VA_ARGS__);                                                \
    if (real == NULL) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define ON_DESCRIPTOR(result, name, asked, given, ...)                                 \
    result name asked {                                                                \
        REAL(result, #name, __VA_ARGS__);                                              \
        return descriptor_fails(#name, fd) ? -1 : real given;                          \
    }

ON_DESCRIPTOR(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), int, const void *, size_t)
ON_DESCRIPTOR(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), int,
              const void *, size_t, off_t)
ON_DESCRIPTOR(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at), int,
              const void *, size_t, off64_t)
ON_DESCRIPTOR(ssize_t, writev, (int fd, const struct iovec *data, int count), (fd, data, count), int,
              const struct iovec *, int)
ON_DESCRIPTOR(int, ftruncate, (int fd, off_t size), (fd, size), int, off_t)
ON_DESCRIPTOR(int, ftruncate64, (int fd, off64_t size), (fd, size), int, off64_t)
ON_DESCRIPTOR(int, fsync, (int fd), (fd), int)
ON_DESCRIPTOR(int, fdatasync, (int fd), (fd), int)

#define ON_PATH(name, asked, given, directory, path, ...)                              \
    int name asked {                                                                   \
        REAL(int, #name, __VA_ARGS__);                                                 \
        return path_fails(#name, directory, path) ? -1 : real given;                   \
    }

ON_PATH(rename, (const char *from, const char *to), (from, to), AT_FDCWD, to, const char *, const char *)
ON_PATH(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), b, to, int, const char *, int,
        const char *)
ON_PATH(link, (const char *from, const char *to), (from, to), AT_FDCWD, to, const char *, const char *)
ON_PATH(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), b, to, int,
        const char *, int, const char *, int)
ON_PATH(symlink, (const char *target, const char *path), (target, path), AT_FDCWD, path, const char *, const char *)
ON_PATH(symlinkat, (const char *target, int at, const char *path), (target, at, path), at, path, const char *, int,
        const char *)
ON_PATH(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, const char *, mode_t)
ON_PATH(mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), at, path, int, const char *, mode_t)

#define OPEN(name, directory, asked, given, ...)                                       \
    int name asked {                                                                   \
        mode_t mode = 0;                                                               \
        if (flags & (O_CREAT | O_TMPFILE)) {                                           \
            va_list more;                                                              \
            va_start(more, flags);                                                     \
            mode = va_arg(more, mode_t);                                               \
            va_end(more);                                                              \
        }                                                                              \
        REAL(int, #name, __VA_ARGS__);                                                 \
        if ((flags & (O_CREAT | O_TRUNC)) && path_fails(#name, directory, path)) return -1; \
        return real given;                                                             \
    }

OPEN(open, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode), const char *, int, ...)
OPEN(open64, AT_FDCWD, (const char *path, int flags, ...), (path, flags, mode), const char *, int, ...)
OPEN(openat, at, (int at, const char *path, int flags, ...), (at, path, flags, mode), int, const char *, int, ...)
OPEN(openat64, at, (int at, const char *path, int flags, ...), (at, path, flags, mode), int, const char *, int, ...)

int clock_gettime(clockid_t clock, struct timespec *time) {
    REAL(int, "clock_gettime", clockid_t, struct timespec *);
    int result = real(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && attached())
        time->tv_sec += shared->clock;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    REAL(int, "gettimeofday", struct timeval *, void *);
    int result = real(time, zone);
    if (result == 0 && attached()) time->tv_sec += shared->clock;
    return result;
}

time_t time(time_t *where) {
    REAL(time_t, "time", time_t *);
    time_t now = real(NULL) + (attached() ? shared->clock : 0);
    if (where != NULL) *where = now;
    return now;
}
