#define _GNU_SOURCE
#include "launch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sys.h"

struct launch launch = {.init_socket = -1, .command_socket = -1, .root = -1, .ruleset = -1, .pty = -1};

_Noreturn void fail(const char *what, const char *path) {
  int error = errno;
  struct message message = {.kind = MESSAGE_FAILED, .value = error, .step = (int32_t)launch.step};
  snprintf(message.text, sizeof message.text, "%s%s%s", what, path ? " " : "", path ? path : "");
  if (launch.place == OUTER) outer_failed(message.step, error, message.text);
  int socket = launch.place == COMMAND ? launch.command_socket : launch.init_socket;
  (void)!send(socket, &message, sizeof message, MSG_NOSIGNAL);
  _exit(EXIT_REFUSED);
}

void message_send(int socket, enum message_kind kind, int value, const char *text, int fd) {
  struct message message = {.kind = kind, .value = value, .step = (int32_t)launch.step};
  if (text) snprintf(message.text, sizeof message.text, "%s", text);
  struct iovec data = {&message, sizeof message};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1};
  if (fd >= 0) {
    packet.msg_control = control.room;
    packet.msg_controllen = sizeof control.room;
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  }
  ssize_t sent;
  do sent = sendmsg(socket, &packet, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  /* The launcher is gone, or pid 1 is: nothing is left that could be told. */
  if (sent != sizeof message && launch.place != OUTER) _exit(EXIT_REFUSED);
}

bool message_receive(int socket, struct message *message, int *fd) {
  struct iovec data = {message, sizeof *message};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct msghdr packet = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
  *fd = -1;
  ssize_t got;
  do got = recvmsg(socket, &packet, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got != sizeof *message) return false;
  message->text[sizeof message->text - 1] = 0;
  struct cmsghdr *header = CMSG_FIRSTHDR(&packet);
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int)))
    memcpy(fd, CMSG_DATA(header), sizeof *fd);
  return true;
}

static void (*const run[OP_COUNT])(const struct step *) = {
    [OP_IDMAP] = step_idmap,
    [OP_TREE] = step_tree,
    [OP_ENTER] = step_enter,
    [OP_NETLINK] = step_netlink,
    [OP_SOCKET] = step_socket,
    [OP_ROOT] = step_root,
    [OP_DIRECTORY] = step_directory,
    [OP_SYMLINK] = step_symlink,
    [OP_FILE] = step_file,
    [OP_WRITE] = step_write,
    [OP_MOUNT] = step_mount,
    [OP_ATTACH] = step_attach,
    [OP_ATTRIBUTES] = step_attributes,
    [OP_PIVOT] = step_pivot,
    [OP_TERMINAL] = step_terminal,
    [OP_FINISH] = step_finish,
    [OP_SPAWN] = step_spawn,
    [OP_RLIMIT] = step_rlimit,
    [OP_NO_NEW_PRIVILEGES] = step_no_new_privileges,
    [OP_CAPABILITIES] = step_capabilities,
    [OP_LANDLOCK] = step_landlock,
    [OP_LANDLOCK_PATH] = step_landlock_path,
    [OP_LANDLOCK_SEAL] = step_landlock_seal,
    [OP_SECCOMP] = step_seccomp,
    [OP_CHDIR] = step_chdir,
    [OP_EXEC] = step_exec,
};

_Noreturn void run_steps(void) {
  for (; launch.step < launch.plan.count; launch.step++) {
    const struct step *step = &launch.plan.steps[launch.step];
    if (step->op == OP_MONITOR) continue; /* read by the monitor when its time comes */
    if (step->op == OP_HOSTNAME) {
      if (sethostname(step->hostname.name, strlen(step->hostname.name))) fail("sethostname", step->hostname.name);
      continue;
    }
    run[step->op](step);
  }
  _exit(EXIT_REFUSED); /* not reached: the decoder saw to it that the last step does not return */
}
