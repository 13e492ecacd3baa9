// Runs a command and says what it took: `measure SECONDS BYTES COMMAND…` prints "exit-code seconds KiB".
// The command may use so much of the processor's time and of address space; 0 is no limit. Its own output is lost, its
// errors are not. A parent this small adds nothing to the peak size of its child, and starts at once.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void limit(int resource, const char *value) {
  rlim_t most = (rlim_t)strtoull(value, NULL, 10);
  struct rlimit both = {most, most};
  if (most != 0 && setrlimit(resource, &both) != 0) _exit(126);
}

int main(int count, char **arguments) {
  if (count < 4) return 64;
  pid_t child = fork();
  if (child < 0) return 71;
  if (child == 0) {
    limit(RLIMIT_CPU, arguments[1]);
    limit(RLIMIT_AS, arguments[2]);
    int nothing = open("/dev/null", O_WRONLY);
    if (nothing < 0 || dup2(nothing, STDOUT_FILENO) < 0) _exit(126);
    execv(arguments[3], arguments + 3);
    _exit(127);
  }
  int status;
  struct rusage used;
  if (wait4(child, &status, 0, &used) != child) return 71;
  double seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                   (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  // As Python has it: a signal is below 0.
  int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  printf("%d %.6f %ld\n", code, seconds, used.ru_maxrss);
  return 0;
}
