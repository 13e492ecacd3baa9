// Preloaded into the program under test: calls to the system that touch files below one folder are counted, and from
// the k-th on one or all fail, are cut short, or are the process's last.
//   FAULT_ROOT   the folder
//   FAULT_CALLS  what is counted: one of the names below, or "all"
//   FAULT_AT     which call, from 1; 0 for none
//   FAULT_AS     an errno, "short" (half of a read or write), or "kill"
//   FAULT_FOR    "once" or "good"
//   FAULT_LOG    a file that takes a line "CALL PATH" for each call that was made
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX], calls[32], as[32];
static long at;
static bool for_good;
static atomic_long count;
static int log_file = -1;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void copy(char *to, size_t size, const char *name) {
  const char *value = getenv(name);
  snprintf(to, size, "%s", value ? value : "");
}

__attribute__((constructor)) static void start(void) {
  copy(root, sizeof root, "FAULT_ROOT");
  copy(calls, sizeof calls, "FAULT_CALLS");
  copy(as, sizeof as, "FAULT_AS");
  const char *number = getenv("FAULT_AT"), *length = getenv("FAULT_FOR"), *log = getenv("FAULT_LOG");
  at = number ? atol(number) : 0;
  for_good = length && strcmp(length, "good") == 0;
  if (log) {
    int opened = NEXT(open)(log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    log_file = fcntl(opened, F_DUPFD_CLOEXEC, 500);
    NEXT(close)(opened);
  }
}

static bool is_below(const char *path) {
  size_t length = strlen(root);
  return length > 0 && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

// The path of a name relative to an open folder, or to the working one.
static bool resolve(int folder, const char *name, char *path) {
  if (name[0] == '/') {
    snprintf(path, PATH_MAX, "%s", name);
  } else {
    char link[64], base[PATH_MAX];
    if (folder == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, base, sizeof base - 1);
    if (length < 0) return false;
    base[length] = 0;
    if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) return false;
  }
  return is_below(path);
}

static bool is_inside(int file, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return false;
  path[length] = 0;
  return is_below(path);
}

static void record(const char *call, const char *path, const char *to) {
  if (log_file < 0) return;
  char line[2 * PATH_MAX + 64];
  int length = snprintf(line, sizeof line, to ? "%s %s\t%s\n" : "%s %s\n", call, path, to);
  if (NEXT(write)(log_file, line, (size_t)length) < 0) _exit(99);
}

typedef enum { PASS, FAIL, SHORT } verdict;

// What is to become of a call; sets errno where it fails.
static verdict judge(const char *call, const char *path) {
  (void)path;
  if (at == 0 || (strcmp(calls, "all") != 0 && strcmp(calls, call) != 0)) return PASS;
  long number = ++count;
  if (number != at && !(for_good && number > at)) return PASS;
  if (strcmp(as, "kill") == 0) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
  }
  if (strcmp(as, "short") == 0) return SHORT;
  errno = atoi(as);
  return FAIL;
}

// A call that may fail; what happened without a fault is in the log.
#define GUARDED(call, path, to, failure, run)             \
  do {                                                    \
    if (judge(call, path) == FAIL) return failure;        \
    __typeof__(run) result = run;                         \
    int code = errno;                                     \
    if (result != (failure)) record(call, path, to);      \
    errno = code;                                         \
    return result;                                        \
  } while (0)

#define HALF(size) ((size) > 1 ? (size) / 2 : (size))

// MARK: Names

static const char *kind_of_open(int flags) {
  return flags & O_CREAT ? "create" : flags & O_DIRECTORY ? "opendir" : "open";
}

// The mode of a call that may create a file: its last argument then, otherwise not there.
#define MODE(mode, flags)                 \
  mode_t mode = 0;                        \
  if (flags & (O_CREAT | O_TMPFILE)) {    \
    va_list list;                         \
    va_start(list, flags);                \
    mode = va_arg(list, mode_t);          \
    va_end(list);                         \
  }

#define OPEN(name)                                                                    \
  int name(const char *file, int flags, ...) {                                        \
    MODE(mode, flags)                                                                 \
    char path[PATH_MAX];                                                              \
    if (!resolve(AT_FDCWD, file, path)) return NEXT(name)(file, flags, mode);         \
    GUARDED(kind_of_open(flags), path, NULL, -1, NEXT(name)(file, flags, mode));      \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                          \
  int name(int folder, const char *file, int flags, ...) {                                    \
    MODE(mode, flags)                                                                         \
    char path[PATH_MAX];                                                                      \
    if (!resolve(folder, file, path)) return NEXT(name)(folder, file, flags, mode);           \
    GUARDED(kind_of_open(flags), path, NULL, -1, NEXT(name)(folder, file, flags, mode));      \
  }
OPENAT(openat)
OPENAT(openat64)

int rename(const char *from, const char *to) {
  char path[PATH_MAX], target[PATH_MAX];
  if (!resolve(AT_FDCWD, from, path) || !resolve(AT_FDCWD, to, target)) return NEXT(rename)(from, to);
  GUARDED("rename", path, target, -1, NEXT(rename)(from, to));
}

#define ON_PATH(name, call)                                      \
  int name(const char *file) {                                   \
    char path[PATH_MAX];                                         \
    if (!resolve(AT_FDCWD, file, path)) return NEXT(name)(file); \
    GUARDED(call, path, NULL, -1, NEXT(name)(file));             \
  }
ON_PATH(unlink, "unlink")
ON_PATH(rmdir, "unlink")
ON_PATH(remove, "unlink")

int unlinkat(int folder, const char *file, int flags) {
  char path[PATH_MAX];
  if (!resolve(folder, file, path)) return NEXT(unlinkat)(folder, file, flags);
  GUARDED("unlink", path, NULL, -1, NEXT(unlinkat)(folder, file, flags));
}

int mkdir(const char *file, mode_t mode) {
  char path[PATH_MAX];
  if (!resolve(AT_FDCWD, file, path)) return NEXT(mkdir)(file, mode);
  GUARDED("mkdir", path, NULL, -1, NEXT(mkdir)(file, mode));
}

// MARK: Bytes

ssize_t write(int file, const void *bytes, size_t size) {
  char path[PATH_MAX];
  if (file <= STDERR_FILENO || !is_inside(file, path)) return NEXT(write)(file, bytes, size);
  verdict verdict = judge("write", path);
  if (verdict == FAIL) return -1;
  record("write", path, NULL);
  return NEXT(write)(file, bytes, verdict == SHORT ? HALF(size) : size);
}

#define PWRITE(name, offset_type)                                                             \
  ssize_t name(int file, const void *bytes, size_t size, offset_type offset) {                \
    char path[PATH_MAX];                                                                      \
    if (!is_inside(file, path)) return NEXT(name)(file, bytes, size, offset);                 \
    verdict verdict = judge("write", path);                                                   \
    if (verdict == FAIL) return -1;                                                           \
    record("write", path, NULL);                                                              \
    return NEXT(name)(file, bytes, verdict == SHORT ? HALF(size) : size, offset);             \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t copy_file_range(
    int from, off64_t *start, int file, off64_t *offset, size_t size, unsigned flags) {
  char path[PATH_MAX];
  if (!is_inside(file, path)) return NEXT(copy_file_range)(from, start, file, offset, size, flags);
  verdict verdict = judge("write", path);
  if (verdict == FAIL) return -1;
  record("write", path, NULL);
  return NEXT(copy_file_range)(from, start, file, offset, verdict == SHORT ? HALF(size) : size, flags);
}

#define TRUNCATE(name, offset_type)                                         \
  int name(int file, offset_type size) {                                    \
    char path[PATH_MAX];                                                    \
    if (!is_inside(file, path)) return NEXT(name)(file, size);              \
    GUARDED("truncate", path, NULL, -1, NEXT(name)(file, size));            \
  }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define RESERVE(name, offset_type)                                            \
  int name(int file, offset_type offset, offset_type size) {                  \
    char path[PATH_MAX];                                                      \
    if (!is_inside(file, path)) return NEXT(name)(file, offset, size);        \
    if (judge("truncate", path) == FAIL) return errno;                        \
    record("truncate", path, NULL);                                           \
    return NEXT(name)(file, offset, size);                                    \
  }
RESERVE(posix_fallocate, off_t)
RESERVE(posix_fallocate64, off64_t)

// MARK: Ends

int fsync(int file) {
  char path[PATH_MAX];
  if (!is_inside(file, path)) return NEXT(fsync)(file);
  GUARDED("fsync", path, NULL, -1, NEXT(fsync)(file));
}
int fdatasync(int file) {
  char path[PATH_MAX];
  if (!is_inside(file, path)) return NEXT(fdatasync)(file);
  GUARDED("fsync", path, NULL, -1, NEXT(fdatasync)(file));
}
int syncfs(int file) {
  char path[PATH_MAX];
  if (!is_inside(file, path)) return NEXT(syncfs)(file);
  // Logged under a name of its own: it makes everything durable.
  if (judge("fsync", path) == FAIL) return -1;
  int result = NEXT(syncfs)(file);
  if (result == 0) record("syncfs", path, NULL);
  return result;
}

// The descriptor is gone also where closing fails.
int close(int file) {
  char path[PATH_MAX];
  if (file <= STDERR_FILENO || !is_inside(file, path)) return NEXT(close)(file);
  bool fails = judge("close", path) == FAIL;
  int code = errno, result = NEXT(close)(file);
  record("close", path, NULL);
  if (!fails) return result;
  errno = code;
  return -1;
}

DIR *opendir(const char *file) {
  char path[PATH_MAX];
  if (!resolve(AT_FDCWD, file, path)) return NEXT(opendir)(file);
  GUARDED("opendir", path, NULL, NULL, NEXT(opendir)(file));
}

#define READDIR(name, type)                                            \
  struct type *name(DIR *folder) {                                     \
    char path[PATH_MAX];                                               \
    bool counts = is_inside(dirfd(folder), path);                      \
    if (counts && judge("readdir", path) == FAIL) return NULL;         \
    int code = errno;                                                  \
    if (counts) record("readdir", path, NULL);                         \
    errno = code;                                                      \
    return NEXT(name)(folder);                                         \
  }
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)
