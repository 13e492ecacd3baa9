// Libraries that read other people's files still crash on some damaged ones. Their memory is then not to be
// trusted, so the program cannot go on; what it can do is end with one line that names the file, as for any other
// bad input.
#define _GNU_SOURCE
#include "CCrash.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { malformed_input = 3 };

static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP};
enum { crash_count = sizeof crashes / sizeof *crashes };
static struct sigaction before[crash_count];
static _Thread_local volatile sig_atomic_t inside;
// Written before `inside` is set.
static _Thread_local char name[1024];
static _Thread_local const char *library;

static void put(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

static void end(int signal_number) {
  if (inside) {
    put("Error: ");
    put(name);
    put(": the ");
    put(library);
    put(" library crashed on this file: it is damaged; write it anew, or leave it out, and run again\n");
    _exit(malformed_input);
  }
  // Not ours: whoever handled it before does so when the instruction is tried again.
  for (int i = 0; i < crash_count; i++) {
    if (crashes[i] == signal_number) sigaction(signal_number, &before[i], NULL);
  }
  if (signal_number == SIGABRT) raise(signal_number);
}

void ccrash_end_process(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = end;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_NODEFER | SA_ONSTACK;
  for (int i = 0; i < crash_count; i++) sigaction(crashes[i], &action, &before[i]);
}

// Endless recursion leaves no stack for a handler: each thread that enters gets a small one for it.
static void give_stack(void) {
  static _Thread_local char stack[16384];
  stack_t present;
  if (sigaltstack(NULL, &present) != 0 || !(present.ss_flags & SS_DISABLE)) return;
  stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&own, NULL);
}

void ccrash_enter(const char *file, const char *by) {
  give_stack();
  strncpy(name, file, sizeof name - 1);
  library = by;
  inside = 1;
}

void ccrash_leave(void) { inside = 0; }
