/* The last things a process does before it becomes the command: give everything up, for good. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "launch.h"
#include "sys.h"

/* A limit above the inherited hard one cannot be had without privilege; the lower of the two holds. */
void step_rlimit(const struct step *step) {
  struct rlimit limit;
  __typeof__(RLIMIT_CORE) resource = (__typeof__(RLIMIT_CORE))step->rlimit.resource;
  if (getrlimit(resource, &limit)) fail("getrlimit", NULL);
  if (step->rlimit.hard < limit.rlim_max) limit.rlim_max = step->rlimit.hard;
  limit.rlim_cur = step->rlimit.soft < limit.rlim_max ? step->rlimit.soft : limit.rlim_max;
  if (setrlimit(resource, &limit)) fail("setrlimit", NULL);
}

void step_no_new_privileges(const struct step *step) {
  (void)step;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("prctl", "no_new_privs");
}

void clear_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0}, now[_LINUX_CAPABILITY_U32S_3];
  if (syscall(SYS_capset, &header, none)) fail("capset", NULL);
  memset(now, 0xff, sizeof now);
  if (syscall(SYS_capget, &header, now)) fail("capget", NULL);
  errno = EPERM;
  if (memcmp(now, none, sizeof now)) fail("capget", "capabilities are left");
}

void drop_capabilities(void) {
  /* The kernel tells where its capabilities end by EINVAL. */
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)) fail("prctl", "bounding set");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)) fail("prctl", "ambient set");
  unsigned long on = SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_CAP_AMBIENT_RAISE;
  unsigned long locked = SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED |
                         SECBIT_KEEP_CAPS_LOCKED;
  if (prctl(PR_SET_SECUREBITS, on | locked, 0, 0, 0)) fail("prctl", "securebits");
  clear_capabilities();
}

void step_capabilities(const struct step *step) {
  (void)step;
  drop_capabilities();
}

void step_landlock(const struct step *step) {
  struct sys_landlock_ruleset handled = {step->landlock.fs, step->landlock.net, step->landlock.scoped};
  launch.ruleset = (int)syscall(NR_landlock_create_ruleset, &handled, (size_t)step->landlock.size, 0);
  if (launch.ruleset < 0) fail("landlock_create_ruleset", NULL);
}

void step_landlock_path(const struct step *step) {
  int at = inner_open(step->landlock_path.path, O_PATH);
  if (at < 0) fail("open", step->landlock_path.path);
  struct sys_landlock_path rule = {step->landlock_path.access, at};
  if (syscall(NR_landlock_add_rule, launch.ruleset, SYS_LANDLOCK_PATH_BENEATH, &rule, 0))
    fail("landlock_add_rule", step->landlock_path.path);
  close(at);
}

void step_landlock_seal(const struct step *step) {
  if (syscall(NR_landlock_restrict_self, launch.ruleset, step->landlock_seal.flags))
    fail("landlock_restrict_self", NULL);
  close(launch.ruleset);
  launch.ruleset = -1;
}

void step_seccomp(const struct step *step) {
  struct sock_fprog program = {.len = step->seccomp.length, .filter = step->seccomp.program};
  long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned long)step->seccomp.flags, &program);
  if (fd < 0) fail("seccomp", step->seccomp.listener ? "notification" : "filter");
  if (!step->seccomp.listener) return;
  message_send(launch.command_socket, MESSAGE_LISTENER, 0, NULL, (int)fd);
  close((int)fd);
}

void step_chdir(const struct step *step) {
  if (chdir(step->file.path)) fail("chdir", step->file.path);
}

static void default_signals(void) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigset_t none;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &action, NULL);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

void step_exec(const struct step *step) {
  const struct texts *candidates = &step->exec.candidates;
  /* Only 0-2 survive; the line to the launcher stays until exec closes it, to tell why exec failed. */
  int line = launch.command_socket;
  if (line != 3 && dup3(line, 3, O_CLOEXEC) < 0) fail("dup3", NULL);
  launch.command_socket = line = 3;
  if (sys_close_range(4, ~0U)) fail("close_range", NULL);
  umask(launch.umask);
  /* Changing ids made it undumpable, which would hide this first exec from the monitor. */
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) fail("prctl", "dumpable");
  message_send(line, MESSAGE_READY, 0, NULL, -1);
  struct message message;
  int fd;
  if (!message_receive(line, &message, &fd) || message.kind != MESSAGE_GO) _exit(EXIT_REFUSED);
  default_signals();
  /* Asked first, so that a search of PATH does not leave failed attempts on record. */
  uint32_t chosen = 0;
  for (uint32_t i = 0; i < candidates->count; i++)
    if (faccessat(AT_FDCWD, candidates->at[i], X_OK, 0) == 0) {
      struct stat status;
      chosen = i;
      if (stat(candidates->at[i], &status) == 0 && S_ISREG(status.st_mode)) break;
    }
  execve(candidates->at[chosen], step->exec.argv.at, step->exec.environment.at);
  int error = errno;
  struct message failed = {.kind = MESSAGE_FAILED, .value = error, .step = (int32_t)launch.step};
  strncpy(failed.text, candidates->at[chosen], sizeof failed.text - 1);
  (void)!send(line, &failed, sizeof failed, MSG_NOSIGNAL);
  _exit(error == ENOENT ? 127 : 126);
}
