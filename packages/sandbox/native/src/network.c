/* The network namespace: netlink messages and sockets, both entirely as the plan says. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch.h"

/* Sends one prepared batch and reads its acknowledgements; the first refusal is named by its sequence number. */
void step_netlink(const struct step *step) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)step->netlink.protocol);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (fd < 0) fail("netlink socket", NULL);
  if (bind(fd, (struct sockaddr *)&kernel, sizeof kernel)) fail("netlink bind", NULL);
  if (sendto(fd, step->netlink.bytes.at, step->netlink.bytes.length, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
    fail("netlink send", NULL);
  for (uint32_t acks = 0; acks < step->netlink.acks;) {
    _Alignas(struct nlmsghdr) char buffer[16384];
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("netlink receive", NULL);
    int left = (int)got;
    for (struct nlmsghdr *at = (struct nlmsghdr *)(void *)buffer; NLMSG_OK(at, (unsigned)left);
         at = NLMSG_NEXT(at, left)) {
      if (at->nlmsg_type != NLMSG_ERROR) continue;
      const struct nlmsgerr *answer = NLMSG_DATA(at);
      if (answer->error) {
        char message[32];
        snprintf(message, sizeof message, "message %u", answer->msg.nlmsg_seq);
        errno = -answer->error;
        fail("netlink", message);
      }
      acks++;
    }
  }
  if (step->netlink.keep) message_send(launch.init_socket, MESSAGE_LOG, 0, NULL, fd);
  close(fd);
}

void step_socket(const struct step *step) {
  int fd = socket((int)step->socket.domain, (int)step->socket.type | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket", step->socket.handoff);
  for (uint32_t i = 0; i < step->socket.count; i++) {
    const struct socket_option *option = &step->socket.options[i];
    if (setsockopt(fd, option->level, option->name, &option->value, sizeof option->value))
      fail("setsockopt", step->socket.handoff);
  }
  if (bind(fd, (const struct sockaddr *)(const void *)step->socket.address.at, step->socket.address.length))
    fail("bind", step->socket.handoff);
  if (step->socket.backlog && listen(fd, (int)step->socket.backlog)) fail("listen", step->socket.handoff);
  if (*step->socket.handoff) message_send(launch.init_socket, MESSAGE_SOCKET, 0, NULL, fd);
  close(fd);
}
