#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "launch.h"

enum { RECORD_ROOM = 64 << 10 };
static uint8_t room[RECORD_ROOM];
static uint32_t length, sent;
static bool complete;

void record_begin(enum record_kind kind) {
  length = sent = 0;
  complete = false;
  record_u32(0);
  record_u32(kind);
}

void record_bytes(const void *bytes, uint32_t count) {
  /* Producers bound what they read so that this never happens; were it to, the record is cut, not the stack. */
  if (count > RECORD_ROOM - length) count = RECORD_ROOM - length;
  memcpy(room + length, bytes, count);
  length += count;
}

void record_u32(uint32_t value) { record_bytes(&value, sizeof value); }
void record_u64(uint64_t value) { record_bytes(&value, sizeof value); }

void record_end(void) {
  uint32_t payload = length - 4;
  memcpy(room, &payload, 4);
  complete = true;
}

bool record_pending(void) { return complete && sent < length; }

bool record_flush(void) {
  while (record_pending()) {
    ssize_t wrote = send(FD_CONTROL, room + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return errno == EAGAIN;
    sent += (uint32_t)wrote;
  }
  return true;
}

void record_drain(void) {
  struct pollfd control = {FD_CONTROL, POLLOUT, 0};
  while (record_flush() && record_pending())
    if (poll(&control, 1, -1) < 0 && errno != EINTR) return;
}
