// A signal may come to any thread, whatever others block (the main one sleeps with all of them allowed): its handler
// passes it on to the one that waits for it.
#define _GNU_SOURCE
#include "CProcess.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

static pthread_t watcher;

static void pass_on(int number) { pthread_kill(watcher, number); }

int cprocess_wait_for_signal(const int *numbers, int count) {
  sigset_t set;
  sigemptyset(&set);
  struct sigaction action, present;
  memset(&action, 0, sizeof action);
  action.sa_handler = pass_on;
  action.sa_flags = SA_RESTART;
  for (int i = 0; i < count; i++) {
    if (sigaction(numbers[i], NULL, &present) == 0 && present.sa_handler != SIG_IGN) sigaddset(&set, numbers[i]);
  }
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  watcher = pthread_self();
  for (int i = 0; i < count; i++) {
    if (sigismember(&set, numbers[i])) sigaction(numbers[i], &action, NULL);
  }
  int number = 0;
  while (sigwait(&set, &number) != 0) {}
  return number;
}

void cprocess_end_by_signal(int number) {
  signal(number, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  raise(number);
}
