/* The launcher: one loop that waits for everything that can happen to a sandbox. One record is in flight at a time,
 * and while it is, nothing that would make another is read: if the supervisor does not read, the sandbox waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "launch.h"
#include "sys.h"

static struct {
  int signals, listener, log;
  bool channel_open, init_ready, command_ready, told_ready, ended;
  int code; /* exit code told by init, or -1 */
  struct {
    int fd;
    const char *text;
  } handoffs[PLAN_MAX_SOCKETS];
  int handoff_count, handoff_next; /* those before `next` are with Node */
  bool handoff_waiting;            /* for Node's acknowledgement */
  uint64_t call;
  bool call_waiting;
  bool call_starts;  /* a program: it waits until the supervisor has written the record */
  bool call_written; /* so it says */
  bool signal_command;             /* the next byte from the supervisor is a signal number */
  bool log_turn;
} outer = {.signals = -1, .listener = -1, .log = -1, .channel_open = true, .code = -1};

_Noreturn void outer_failed(int step, int error, const char *text) {
  terminal_restore();
  record_drain();
  record_begin(RECORD_FAILED);
  record_u32((uint32_t)step);
  record_u32((uint32_t)error);
  record_bytes(text, (uint32_t)strlen(text));
  record_end();
  record_drain();
  _exit(EXIT_REFUSED); /* init dies with this process */
}

/* SIGKILL to pid 1 ends its whole pid namespace, however many processes fork in it. */
static void kill_sandbox(void) { syscall(NR_pidfd_send_signal, launch.init_pidfd, SIGKILL, NULL, 0); }

/* The supervisor is gone, or what it says makes no sense. */
static _Noreturn void abandon(void) {
  kill_sandbox();
  terminal_restore();
  _exit(EXIT_REFUSED);
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* ---- from the supervisor ---- */

static void take_commands(void) {
  uint8_t commands[64];
  ssize_t got = recv(FD_CONTROL, commands, sizeof commands, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) abandon();
  for (ssize_t i = 0; i < got; i++) {
    if (outer.signal_command) {
      outer.signal_command = false;
      message_send(launch.init_socket, MESSAGE_SIGNAL, commands[i], NULL, -1);
    } else if (commands[i] == 'G' && outer.told_ready) {
      message_send(launch.command_socket, MESSAGE_GO, 0, NULL, -1);
    } else if (commands[i] == 'S') {
      outer.signal_command = true;
    } else if (commands[i] == 'K') {
      kill_sandbox();
    } else if (commands[i] == 'W' && outer.call_waiting) {
      outer.call_written = true;
    } else {
      abandon();
    }
  }
}

/* ---- sockets for Node (its internal IPC: one NODE_HANDLE line with a descriptor, then NODE_HANDLE_ACK) ---- */

static void hand_off(void) {
  if (outer.handoff_waiting || outer.handoff_next == outer.handoff_count) return;
  const char *text = outer.handoffs[outer.handoff_next].text;
  struct iovec data = {(void *)(uintptr_t)text, strlen(text)};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr packet = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(&control.header), &outer.handoffs[outer.handoff_next].fd, sizeof(int));
  if (sendmsg(FD_CHANNEL, &packet, MSG_NOSIGNAL) != (ssize_t)data.iov_len) abandon();
  close_fd(&outer.handoffs[outer.handoff_next].fd);
  outer.handoff_waiting = true;
}

static void take_acknowledgement(void) {
  static char line[4096];
  static size_t length;
  ssize_t got = recv(FD_CHANNEL, line + length, sizeof line - 1 - length, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) abandon();
  length += (size_t)got;
  line[length] = 0;
  if (length == sizeof line - 1) abandon();
  for (char *end; (end = strchr(line, '\n')); length = strlen(line)) {
    *end = 0;
    if (!strstr(line, "\"NODE_HANDLE_ACK\"")) abandon();
    if (outer.handoff_waiting) outer.handoff_next++;
    outer.handoff_waiting = false;
    memmove(line, end + 1, strlen(end + 1) + 1);
  }
}

/* ---- from inside ---- */

static void take_message(int *socket) {
  struct message message;
  int fd;
  if (!message_receive(*socket, &message, &fd)) return close_fd(socket);
  /* Only our own code holds the other ends; the command has none. */
  switch (message.kind) {
    case MESSAGE_SOCKET:
      if (fd < 0 || outer.handoff_count == PLAN_MAX_SOCKETS) abandon();
      outer.handoffs[outer.handoff_count].fd = fd;
      outer.handoffs[outer.handoff_count++].text = launch.plan.steps[message.step].socket.handoff;
      return;
    case MESSAGE_LOG:
      outer.log = fd;
      return;
    case MESSAGE_PTY:
      launch.pty = fd;
      terminal_open();
      return;
    case MESSAGE_LISTENER:
      outer.listener = fd;
      /* Absent before Linux 6.6: notifications are then slower, and the same otherwise. */
      (void)!ioctl(fd, SYS_NOTIF_SET_FLAGS, (unsigned long)SYS_NOTIF_SYNC_WAKE_UP);
      return;
    case MESSAGE_READY:
      if (socket == &launch.init_socket) outer.init_ready = true;
      if (socket == &launch.command_socket) outer.command_ready = true;
      return;
    case MESSAGE_FAILED:
      record_begin(RECORD_FAILED);
      record_u32((uint32_t)message.step);
      record_u32((uint32_t)message.value);
      record_bytes(message.text, (uint32_t)strlen(message.text));
      record_end();
      return;
    case MESSAGE_EXIT:
      outer.code = message.value;
      return;
    default:
      abandon();
  }
}

static void take_log(void) {
  static uint8_t bytes[8192];
  ssize_t got = recv(outer.log, bytes, sizeof bytes, MSG_DONTWAIT);
  if (got < 0 && errno == ENOBUFS) {
    record_begin(RECORD_LOST);
    record_end();
  }
  if (got <= 0) return;
  record_begin(RECORD_DATAGRAM);
  record_bytes(bytes, (uint32_t)got);
  record_end();
}

/* The others reach the supervisor as well, which passes them on: from here they would arrive twice. */
static void take_signal(void) {
  struct signalfd_siginfo info;
  if (read(outer.signals, &info, sizeof info) != sizeof info || info.ssi_signo != SIGWINCH) return;
  if (launch.pty >= 0)
    terminal_resize();
  else
    message_send(launch.init_socket, MESSAGE_SIGNAL, SIGWINCH, NULL, -1);
}

static void tell_ready(void) {
  bool finish = launch.plan.steps[launch.plan.count - 1].op == OP_FINISH;
  if (outer.told_ready || record_pending() || !outer.init_ready || !(outer.command_ready || finish)) return;
  if (outer.handoff_next < outer.handoff_count) return;
  outer.told_ready = true;
  close(FD_CHANNEL);
  outer.channel_open = false;
  record_begin(RECORD_READY);
  record_u32((uint32_t)launch.init);
  record_end();
}

/* ---- the end ---- */

static _Noreturn void finish(void) {
  int status = 0;
  while (waitpid(launch.init, &status, 0) < 0 && errno == EINTR) {}
  int code = outer.code;
  if (code < 0) code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  terminal_restore();
  record_drain();
  record_begin(RECORD_EXIT);
  record_u32((uint32_t)code);
  record_end();
  record_drain();
  _exit(code);
}

/* ---- the loop ---- */

enum { CONTROL, CHANNEL, INIT_LINE, COMMAND_LINE, SIGNALS, PIDFD, LISTENER, LOG, FIXED, ALL = FIXED + TERMINAL_POLLS };

static void fill(struct pollfd *set) {
  bool busy = record_pending();
  set[CONTROL] = (struct pollfd){FD_CONTROL, (short)(POLLIN | (busy ? POLLOUT : 0)), 0};
  set[CHANNEL] = (struct pollfd){outer.channel_open ? FD_CHANNEL : -1, POLLIN, 0};
  set[INIT_LINE] = (struct pollfd){busy ? -1 : launch.init_socket, POLLIN, 0};
  set[COMMAND_LINE] = (struct pollfd){busy ? -1 : launch.command_socket, POLLIN, 0};
  set[SIGNALS] = (struct pollfd){outer.signals, POLLIN, 0};
  set[PIDFD] = (struct pollfd){outer.ended ? -1 : launch.init_pidfd, POLLIN, 0};
  set[LISTENER] = (struct pollfd){busy || outer.call_waiting ? -1 : outer.listener, POLLIN, 0};
  set[LOG] = (struct pollfd){busy ? -1 : outer.log, POLLIN, 0};
  terminal_poll(set + FIXED);
}

static void serve(const struct pollfd *set) {
  if (set[CONTROL].revents & POLLOUT && !record_flush()) abandon();
  if (set[CONTROL].revents & ~POLLOUT) take_commands();
  if (set[CHANNEL].revents) take_acknowledgement();
  if (set[SIGNALS].revents) take_signal();
  if (set[PIDFD].revents) outer.ended = true;
  terminal_relay(set + FIXED);
  /* Each of these may make a record, so at most one of them is served a round. */
  if (set[INIT_LINE].revents) return take_message(&launch.init_socket);
  if (set[COMMAND_LINE].revents) return take_message(&launch.command_socket);
  /* In turn, so that a flood of one does not keep the other waiting until the kernel drops it. */
  outer.log_turn = !outer.log_turn;
  if (set[LOG].revents && (outer.log_turn || !set[LISTENER].revents)) return take_log();
  if (set[LISTENER].revents & POLLIN)
    outer.call_waiting = monitor_take(outer.listener, &outer.call, &outer.call_starts);
  else if (set[LISTENER].revents)
    close_fd(&outer.listener);
}

_Noreturn void outer_loop(void) {
  launch.step = 0;
  /* What it needs from here on it has by owning the user namespace it made (user_namespaces(7)). */
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("prctl", "no_new_privs");
  clear_capabilities();
  for (int i = 0; i < PLAN_MAX_SLOTS; i++) close_fd(&launch.slots[i]);
  null_descriptors(true);
  for (;;) {
    struct pollfd set[ALL];
    if (record_pending() && !record_flush()) abandon();
    if (outer.call_waiting && !record_pending() && (outer.call_written || !outer.call_starts)) {
      outer.call_waiting = outer.call_written = false;
      monitor_continue(outer.listener, outer.call);
    }
    hand_off();
    tell_ready();
    if (record_pending() && !record_flush()) abandon();
    fill(set);
    int timeout = !outer.ended || record_pending() ? -1 : terminal_busy() ? 1000 : 0;
    int ready = poll(set, ALL, timeout);
    if (ready < 0 && errno != EINTR) abandon();
    if (ready == 0 && outer.ended) finish();
    if (ready > 0) serve(set);
  }
}

int outer_main(pid_t supervisor) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || getppid() != supervisor) return EXIT_REFUSED;
  if (sys_close_range(FD_CHANNEL + 1, ~0U)) return EXIT_REFUSED;
  if (fcntl(FD_CONTROL, F_SETFD, FD_CLOEXEC) || fcntl(FD_CHANNEL, F_SETFD, FD_CLOEXEC)) return EXIT_REFUSED;
  launch.place = OUTER;
  memset(launch.slots, 0xff, sizeof launch.slots);
  const char *problem = plan_read(FD_CONTROL, &launch.plan);
  if (problem) outer_failed(-1, 0, problem);
  for (uint32_t i = 0; i < launch.plan.count; i++)
    if (launch.plan.steps[i].op == OP_MONITOR) monitor_use(&launch.plan.steps[i]);
  static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
  sigset_t mask;
  sigemptyset(&mask);
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) sigaddset(&mask, taken[i]);
  if (sigprocmask(SIG_BLOCK, &mask, NULL)) fail("sigprocmask", NULL);
  outer.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (outer.signals < 0) fail("signalfd", NULL);
  terminal_detect();
  run_steps();
}
