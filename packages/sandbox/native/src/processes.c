/* The three processes: OUTER (host namespaces), INIT (pid 1 inside), COMMAND. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "launch.h"
#include "sys.h"

static void write_map(const char *name, const char *text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", launch.init, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail("write", path);
  close(fd);
}

/* PR_SET_PDEATHSIG comes too late when the parent is dead already: then its end of the line is closed. */
static void die_with_outer(void) {
  char byte;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) fail("prctl", "pdeathsig");
  ssize_t got = recv(launch.init_socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got == 0) _exit(EXIT_REFUSED);
}

static void become_init(const struct step *step) {
  struct message message;
  int fd;
  launch.place = INIT;
  close(FD_CONTROL);
  close(FD_CHANNEL);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) fail("prctl", "pdeathsig");
  if (!message_receive(launch.init_socket, &message, &fd) || message.kind != MESSAGE_MAPPED) _exit(EXIT_REFUSED);
  /* The raw calls: this process has one thread, and libc's wrappers have nothing to synchronise. */
  if (syscall(SYS_setresgid, step->enter.gid, step->enter.gid, step->enter.gid)) fail("setresgid", NULL);
  if (syscall(SYS_setresuid, step->enter.uid, step->enter.uid, step->enter.uid)) fail("setresuid", NULL);
  die_with_outer(); /* changing ids has cleared it */
  launch.umask = umask(0);
  launch.step++;
  run_steps();
}

void step_enter(const struct step *step) {
  int init_pair[2], command_pair[2];
  int kind = SOCK_SEQPACKET | SOCK_CLOEXEC;
  if (socketpair(AF_UNIX, kind, 0, init_pair) || socketpair(AF_UNIX, kind, 0, command_pair)) fail("socketpair", NULL);
  if (step->enter.drop_groups && setgroups(0, NULL)) fail("setgroups", NULL);
  unsigned long flags = step->enter.flags | CLONE_PIDFD | SIGCHLD;
  launch.init_pidfd = -1;
  /* Without a stack of its own the child continues here, as after fork; the pidfd goes where parent_tid would. */
  launch.init = (pid_t)syscall(SYS_clone, flags, NULL, &launch.init_pidfd, NULL, NULL);
  if (launch.init < 0) fail("clone", "namespaces");
  bool child = launch.init == 0;
  launch.init_socket = init_pair[child];
  launch.command_socket = command_pair[child];
  close(init_pair[!child]);
  close(command_pair[!child]);
  if (child) become_init(step);
  write_map("setgroups", "deny");
  write_map("uid_map", step->enter.uid_map);
  write_map("gid_map", step->enter.gid_map);
  message_send(launch.init_socket, MESSAGE_MAPPED, 0, NULL, -1);
  outer_loop();
}

void step_finish(const struct step *step) {
  (void)step;
  message_send(launch.init_socket, MESSAGE_READY, 0, NULL, -1);
  message_send(launch.init_socket, MESSAGE_EXIT, 0, NULL, -1);
  _exit(0);
}

static int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/* Reaps everything; tells the launcher when the command itself has ended. */
static void reap(pid_t command) {
  int status;
  for (;;) {
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    if (pid != command) continue;
    message_send(launch.init_socket, MESSAGE_EXIT, exit_code(status), NULL, -1);
    _exit(0); /* the kernel ends every other process of this pid namespace */
  }
}

/* Pid 1 inside. All signals are blocked and read from a descriptor, so nothing inside can disturb it by signals;
 * it holds no capability, is not dumpable (its memory, environment and descriptors are closed to the others), and
 * speaks to nobody but the launcher. It keeps the terminal's slave open, so that the master hangs up only at the end. */
static _Noreturn void init_loop(pid_t command, int signals) {
  null_descriptors(false);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) fail("prctl", "dumpable");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("prctl", "no_new_privs");
  drop_capabilities();
  message_send(launch.init_socket, MESSAGE_READY, 0, NULL, -1);
  struct pollfd poll_set[2] = {{launch.init_socket, POLLIN, 0}, {signals, POLLIN, 0}};
  for (;;) {
    if (poll(poll_set, 2, -1) < 0) continue;
    if (poll_set[1].revents) {
      struct signalfd_siginfo info;
      (void)!read(signals, &info, sizeof info);
      reap(command);
    }
    if (poll_set[0].revents) {
      struct message message;
      int fd;
      if (!message_receive(launch.init_socket, &message, &fd)) _exit(EXIT_REFUSED); /* the launcher is gone */
      if (fd >= 0) close(fd);
      if (message.kind == MESSAGE_SIGNAL && kill(-command, message.value) && errno == ESRCH)
        kill(command, message.value);
    }
  }
}

void step_spawn(const struct step *step) {
  (void)step;
  sigset_t all;
  sigfillset(&all);
  if (sigprocmask(SIG_BLOCK, &all, NULL)) fail("sigprocmask", NULL);
  int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) fail("signalfd", NULL);
  pid_t command = fork();
  if (command < 0) fail("fork", NULL);
  if (command > 0) {
    close(launch.command_socket);
    for (int i = 0; i < PLAN_MAX_SLOTS; i++)
      if (launch.slots[i] >= 0) close(launch.slots[i]);
    close(launch.root);
    init_loop(command, signals);
  }
  launch.place = COMMAND;
  close(launch.init_socket);
  close(signals);
  if (setsid() < 0) fail("setsid", NULL);
  terminal_adopt();
}
