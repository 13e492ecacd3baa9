// Where the system gives no more threads or memory, the runtime waits for better times for ever, or stops with a trace
// of its own. For a program, that is an error to say in one line.
#define _GNU_SOURCE
#include "CProcess.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

#ifndef HAS_SANITIZER
enum { input_output = 6, least_descriptors = 16 };

static _Noreturn void end(const char *line) {
  if (write(STDERR_FILENO, line, strlen(line)) < 0) _exit(input_output);
  _exit(input_output);
}

// The runtime traps without descriptors for its queues, before the program's first line.
__attribute__((constructor)) static void check_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= least_descriptors) return;
  char line[128];
  snprintf(line, sizeof line, "Error: only %u open files are allowed: allow %d or more (ulimit -n), and run again\n",
           (unsigned)limit.rlim_cur, least_descriptors);
  end(line);
}

typedef int (*starter)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
  starter real = (starter)dlsym(RTLD_NEXT, "pthread_create");
  int code = real ? real(thread, attributes, start, argument) : ENOSYS;
  if (code == 0) return 0;
  end("Error: the system starts no more threads: allow more processes (ulimit -u) or address space (ulimit -v), and "
      "run again\n");
}

#ifdef __GLIBC__
// The allocator of the system under its other names.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

// What a limited address space could hold but for what is in it already; sizes beyond it are the caller's to refuse.
static void *checked(void *memory, size_t size) {
  struct rlimit limit;
  if (memory || size == 0 || getrlimit(RLIMIT_AS, &limit) != 0) return memory;
  if (limit.rlim_cur == RLIM_INFINITY || size >= limit.rlim_cur) return memory;
  end("Error: the address space is used up: allow more (ulimit -v), and run again\n");
}

void *malloc(size_t size) { return checked(__libc_malloc(size), size); }
void *realloc(void *memory, size_t size) { return checked(__libc_realloc(memory, size), size); }
void *aligned_alloc(size_t alignment, size_t size) { return checked(__libc_memalign(alignment, size), size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = aligned_alloc(alignment, size);
  return *memory ? 0 : ENOMEM;
}
void *calloc(size_t count, size_t size) {
  void *memory = __libc_calloc(count, size);
  size_t bytes;
  if (memory || __builtin_mul_overflow(count, size, &bytes)) return memory;
  return checked(memory, bytes);
}
#endif
#endif

int cprocess_is_checked(void) {
#ifdef HAS_SANITIZER
  return 0;
#else
  return 1;
#endif
}
