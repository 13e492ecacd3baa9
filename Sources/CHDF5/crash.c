// libhdf5 1.10 still crashes on some damaged files. Its memory is then not to be trusted, so the program
// cannot go on; what it can do is end with one line that names the file, as for any other bad input.
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "CHDF5.h"

enum { malformed_input = 3 };

static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
enum { crash_count = sizeof crashes / sizeof *crashes };
static struct sigaction before[crash_count];
static _Thread_local volatile sig_atomic_t inside;
// Written under the caller's lock, before `inside` is set.
static char name[1024];

static void put(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

static void end(int signal_number) {
  if (inside) {
    put("Error: ");
    put(name);
    put(": the HDF5 library failed on this file: it is damaged; write it anew, or leave it out\n");
    _exit(malformed_input);
  }
  // Not ours: whoever handled it before does so when the instruction is tried again.
  for (int i = 0; i < crash_count; i++) {
    if (crashes[i] == signal_number) sigaction(signal_number, &before[i], NULL);
  }
  if (signal_number == SIGABRT) raise(signal_number);
}

void chdf5_end_on_crash(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = end;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_NODEFER | SA_ONSTACK;
  for (int i = 0; i < crash_count; i++) sigaction(crashes[i], &action, &before[i]);
  // The library would tidy up at exit, when a damaged file may have left it in disorder.
  H5dont_atexit();
}

// Endless recursion leaves no stack for a handler: each thread that enters gets a small one for it.
static void give_stack(void) {
  static _Thread_local char stack[16384];
  stack_t present;
  if (sigaltstack(NULL, &present) != 0 || !(present.ss_flags & SS_DISABLE)) return;
  stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&own, NULL);
}

void chdf5_enter(const char *file) {
  give_stack();
  strncpy(name, file, sizeof name - 1);
  inside = 1;
}

void chdf5_leave(void) { inside = 0; }
