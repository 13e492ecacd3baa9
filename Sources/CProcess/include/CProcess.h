// What a program needs of its process before its first line, and at its end.
#pragma once

// Whether threads are started, and memory is taken, through functions that end the process with one line and exit
// code 6 where the system gives none: all but builds with a sanitizer, which has its own. Naming this function links
// the replacements.
int cprocess_is_checked(void);

// The words of the command line: Swift's own come from /proc, which a container may not have.
int cprocess_argument_count(void);
const char *cprocess_argument(int index);

// Waits on this thread until one of the signals comes that were not ignored before; returns its number.
int cprocess_wait_for_signal(const int *numbers, int count);

// Ends the process as the signal would have.
void cprocess_end_by_signal(int number);
