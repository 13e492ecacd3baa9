// On some damaged files libhdf5 1.10 comes to no end: an object of no size in a global heap, a list that
// leads back to itself. Its memory is then in disorder, so the program ends with one line, as after a crash.
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "CHDF5.h"

enum { malformed_input = 3, timer_signal = SIGVTALRM };

// A run of calls may take this much of the processor's time, and a microsecond more for each byte of the
// largest file that was opened: no file that was written has so many objects.
static const uint64_t least_microseconds = 3000000;

// All of this is written under the caller's lock.
static bool is_wanted;
static uint64_t largest;
static timer_t timer;
static char name[1024];
static volatile sig_atomic_t is_running;

static void put(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return;
}

static void end(int signal_number) {
  (void)signal_number;
  // A call may have ended while its alarm was on the way.
  if (!is_running) return;
  put("Error: ");
  put(name);
  put(": the HDF5 library comes to no end on this file: it is damaged; write it anew, or leave it out\n");
  _exit(malformed_input);
}

void chdf5_end_endless_calls(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = end;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  is_wanted = sigaction(timer_signal, &action, NULL) == 0;
}

static void set_timer(void) {
  uint64_t wanted = least_microseconds + largest;
  struct itimerspec when = {.it_value = {(time_t)(wanted / 1000000), (long)(wanted % 1000000) * 1000}};
  timer_settime(timer, 0, &when, NULL);
}

void chdf5_watch(const char *file) {
  if (!is_wanted || is_running) return;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = timer_signal;
  // The time of this thread alone: others compute meanwhile.
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0) return;
  strncpy(name, file, sizeof name - 1);
  is_running = 1;
  // Calls that only write end with what they are given.
  if (largest > 0) set_timer();
}

void chdf5_watch_file_of(uint64_t bytes) {
  if (bytes <= largest) return;
  largest = bytes;
  if (is_running) set_timer();
}

void chdf5_unwatch(void) {
  if (!is_running) return;
  is_running = 0;
  timer_delete(timer);
}
