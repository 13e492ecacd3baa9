// Preloaded into the program under test: from the constructor on, the kernel kills it where it starts a
// process or opens a socket. Threads stay allowed.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define ON(number, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), RETURN(action)

__attribute__((constructor)) static void confine(void) {
  struct sock_filter filter[] = {
      LOAD(nr),
      ON(SYS_execve, SECCOMP_RET_KILL_PROCESS),
      ON(SYS_execveat, SECCOMP_RET_KILL_PROCESS),
#ifdef SYS_fork
      ON(SYS_fork, SECCOMP_RET_KILL_PROCESS),
      ON(SYS_vfork, SECCOMP_RET_KILL_PROCESS),
#endif
      ON(SYS_socket, SECCOMP_RET_KILL_PROCESS),
      // Its flags lie in memory: the C library then falls back to clone.
      ON(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
      LOAD(args[0]),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
      RETURN(SECCOMP_RET_KILL_PROCESS),
      RETURN(SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) abort();
}
