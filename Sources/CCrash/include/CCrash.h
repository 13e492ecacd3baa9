// One line and an exit code where a library crashes on a file.
#pragma once
#include <stdbool.h>

// For a program, once at its start: a crash between ccrash_enter and ccrash_leave, on the thread that called them,
// ends the process with one line on standard error and exit code 3. Where the address space is limited, a stop for
// want of memory ends it with one line and exit code 6. Other crashes end as before.
void ccrash_end_process(void);

// Marks the calls of this thread that read `file`, for ccrash_end_process. `library` outlives them.
void ccrash_enter(const char *file, const char *library);
void ccrash_leave(void);
