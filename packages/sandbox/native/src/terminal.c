/* A terminal of the operator is never handed in: through it the agent could type into the operator's shell. The
 * command gets one of the sandbox's own, whose other end the launcher holds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#include "launch.h"

void terminal_detect(void) {
  for (int fd = 0; fd < 3; fd++) launch.terminal[fd] = isatty(fd);
}

static int first_terminal(void) {
  for (int fd = 0; fd < 3; fd++)
    if (launch.terminal[fd]) return fd;
  return -1;
}

static void null_terminals(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail("open", "/dev/null");
  for (int fd = 0; fd < 3; fd++)
    if (launch.terminal[fd] && dup2(null, fd) < 0) fail("dup2", "/dev/null");
  close(null);
}

void step_terminal(const struct step *step) {
  (void)step;
  int operator_fd = first_terminal(), unlock = 0;
  if (operator_fd < 0) return;
  int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0) fail("open", "/dev/pts/ptmx");
  if (ioctl(master, TIOCSPTLCK, &unlock)) fail("unlock", "terminal");
  launch.pty = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (launch.pty < 0) fail("open", "terminal");
  struct winsize size;
  if (ioctl(operator_fd, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
  message_send(launch.init_socket, MESSAGE_PTY, 0, NULL, master);
  close(master);
}

/* In the command's process, which leads a new session. */
void terminal_adopt(void) {
  if (first_terminal() < 0) return;
  /* The plan opens no terminal: then none may pass through either. */
  if (launch.pty < 0) return null_terminals();
  if (ioctl(launch.pty, TIOCSCTTY, 0)) fail("make controlling", "terminal");
  for (int fd = 0; fd < 3; fd++)
    if (launch.terminal[fd] && dup2(launch.pty, fd) < 0) fail("dup2", "terminal");
}

/* The launcher and pid 1 must not keep the command's pipes open: readers at the other end wait for their end. */
void null_descriptors(bool keep_terminal) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail("open", "/dev/null");
  for (int fd = 0; fd < 3; fd++)
    if (!(keep_terminal && launch.terminal[fd]) && dup2(null, fd) < 0) fail("dup2", "/dev/null");
  close(null);
}

/* ---- the launcher's side: relaying ---- */

struct stream {
  uint8_t room[16384];
  size_t from, to;
};
static struct stream typed, shown;
static int keyboard = -1, screen = -1;
static struct termios before;
static bool raw;

/* A fresh open file description, so that O_NONBLOCK does not reach the operator's shell, which shares the old one. */
static int reopen(int fd, int flags) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return again < 0 ? dup(fd) : again;
}

void terminal_open(void) {
  int output = launch.terminal[1] ? 1 : launch.terminal[2] ? 2 : 0;
  fcntl(launch.pty, F_SETFL, O_NONBLOCK);
  screen = reopen(output, O_WRONLY);
  /* In the background, touching the terminal would stop us. */
  if (!launch.terminal[0] || tcgetpgrp(0) != getpgrp()) return;
  keyboard = reopen(0, O_RDONLY);
  if (tcgetattr(0, &before)) return;
  struct termios mode = before;
  cfmakeraw(&mode);
  raw = tcsetattr(0, TCSANOW, &mode) == 0;
  /* A raw terminal must be set right when the supervisor dies, so that death is told by a signal which is caught; the
   * loop then finds the control socket closed, ends the sandbox and restores. */
  if (raw && prctl(PR_SET_PDEATHSIG, SIGHUP, 0, 0, 0)) fail("prctl", "pdeathsig");
}

/* At once, without waiting for output to drain: a terminal that is stopped (Ctrl-S) must not keep us. */
void terminal_restore(void) {
  if (raw) tcsetattr(0, TCSANOW, &before);
  raw = false;
}

void terminal_resize(void) {
  struct winsize size;
  for (int fd = 0; fd < 3; fd++)
    if (launch.terminal[fd] && ioctl(fd, TIOCGWINSZ, &size) == 0) {
      ioctl(launch.pty, TIOCSWINSZ, &size);
      return;
    }
}

static bool holds(const struct stream *stream) { return stream->from < stream->to; }

/* False at end of file or error. */
static bool pull(struct stream *stream, int fd) {
  ssize_t got = read(fd, stream->room, sizeof stream->room);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  stream->from = 0;
  stream->to = (size_t)got;
  return got > 0;
}

static void push(struct stream *stream, int fd) {
  ssize_t wrote = write(fd, stream->room + stream->from, stream->to - stream->from);
  if (wrote < 0 && errno != EAGAIN && errno != EINTR) stream->from = stream->to; /* nobody is there to see it */
  if (wrote > 0) stream->from += (size_t)wrote;
}

void terminal_poll(struct pollfd *set) {
  bool on = launch.pty >= 0;
  set[0] = (struct pollfd){on && !holds(&typed) ? keyboard : -1, POLLIN, 0};
  set[1] = (struct pollfd){holds(&shown) ? screen : -1, POLLOUT, 0};
  short wants = (short)((holds(&shown) ? 0 : POLLIN) | (holds(&typed) ? POLLOUT : 0));
  set[2] = (struct pollfd){on && wants ? launch.pty : -1, wants, 0};
}

void terminal_relay(const struct pollfd *set) {
  if (set[0].revents && !pull(&typed, keyboard)) keyboard = -1;
  if (set[1].revents) push(&shown, screen);
  if (set[2].revents & POLLOUT) push(&typed, launch.pty);
  if (set[2].revents & ~POLLOUT && !holds(&shown) && !pull(&shown, launch.pty)) {
    close(launch.pty);
    launch.pty = -1;
  }
}

bool terminal_busy(void) { return holds(&shown); }
