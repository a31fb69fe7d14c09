/* Reads the arguments of a notified system call from the memory of the process that waits in it. For the record only:
 * another thread can change that memory afterwards, so nothing is ever decided on it.
 *
 * Record: u32 nr, u32 thread, u32 process, u32 parent, u64 args[6], u64 how[3], then parts of
 * { u32 tag, u32 length, bytes }, the last of which is { 0, flags }. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "launch.h"
#include "sys.h"

enum {
  MAX_PATH_READ = 4096,
  MAX_ARGUMENTS = 256,
  MAX_ARGUMENT_BYTES = 8192,
  PAGE = 4096, /* the smallest there is: reads never cross into a page that may not be mapped */
};
enum { FLAG_TRUNCATED = 1, FLAG_UNREADABLE = 2 };
enum tag { TAG_END, TAG_PATH_A, TAG_PATH_B, TAG_DIR_A, TAG_DIR_B, TAG_CWD, TAG_EXECUTABLE, TAG_ARGUMENT };

static const struct watch *watches;
static uint32_t watch_count;
static uint32_t flags;
static pid_t thread;
static uint32_t process;

void monitor_use(const struct step *step) {
  watches = step->monitor.at;
  watch_count = step->monitor.count;
}

static bool read_memory(uint64_t address, void *into, size_t length) {
  struct iovec here = {into, length}, there = {(void *)(uintptr_t)address, length};
  return syscall(SYS_process_vm_readv, thread, &here, 1UL, &there, 1UL, 0UL) == (long)length;
}

/* Reads a NUL-terminated string of at most `limit` bytes; what is longer is cut and flagged. */
static uint32_t read_text(uint64_t address, char *into, uint32_t limit) {
  uint32_t length = 0;
  while (length < limit) {
    uint32_t step = PAGE - (uint32_t)((address + length) % PAGE);
    if (step > limit - length) step = limit - length;
    if (!read_memory(address + length, into + length, step)) {
      flags |= FLAG_UNREADABLE;
      return length;
    }
    const char *end = memchr(into + length, 0, step);
    if (end) return (uint32_t)(end - into);
    length += step;
  }
  flags |= FLAG_TRUNCATED;
  return length;
}

static void part(enum tag tag, const void *bytes, uint32_t length) {
  record_u32(tag);
  record_u32(length);
  record_bytes(bytes, length);
}

static void part_link(enum tag tag, const char *name) {
  char path[64], link[MAX_PATH_READ];
  snprintf(path, sizeof path, "/proc/%d/%s", thread, name);
  ssize_t length = readlink(path, link, sizeof link);
  if (length >= 0) part(tag, link, (uint32_t)length);
}

/* Names a descriptor of the caller by way of a copy: /proc/PID/fd belongs to the agent, and a launcher that root
 * started has given up what it needs to look into other users' directories. */
static void part_descriptor(enum tag tag, int fd) {
  char path[64], link[MAX_PATH_READ];
  if (fd == AT_FDCWD) return part_link(tag, "cwd");
  if (fd < 0) return;
  int holder = (int)syscall(NR_pidfd_open, (pid_t)process, 0);
  int copy = holder < 0 ? -1 : (int)syscall(NR_pidfd_getfd, holder, fd, 0);
  if (copy >= 0) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    ssize_t length = readlink(path, link, sizeof link);
    if (length >= 0) part(tag, link, (uint32_t)length);
    close(copy);
  }
  if (holder >= 0) close(holder);
}

static void part_path(const struct seccomp_notif *call, const struct watch *watch, int which) {
  char path[MAX_PATH_READ];
  uint8_t at = watch->at[which].path, dir = watch->at[which].dir;
  if (at == WATCH_NONE) return;
  uint32_t length = read_text(call->data.args[at], path, sizeof path);
  part(which ? TAG_PATH_B : TAG_PATH_A, path, length);
  if (length && path[0] == '/') return;
  part_descriptor(which ? TAG_DIR_B : TAG_DIR_A, dir == WATCH_NONE ? AT_FDCWD : (int)call->data.args[dir]);
}

static void part_arguments(uint64_t address) {
  static char text[MAX_ARGUMENT_BYTES];
  uint32_t used = 0;
  for (int i = 0; i < MAX_ARGUMENTS; i++) {
    uint64_t argument;
    if (!read_memory(address + (uint64_t)i * 8, &argument, sizeof argument)) {
      flags |= FLAG_UNREADABLE;
      return;
    }
    if (!argument) return;
    if (used == sizeof text) break;
    uint32_t length = read_text(argument, text + used, (uint32_t)sizeof text - used);
    part(TAG_ARGUMENT, text + used, length);
    used += length;
  }
  flags |= FLAG_TRUNCATED;
}

/* Thread group and parent by the kernel's binary interface (Linux 6.13). */
static bool identify_quickly(uint32_t *parent) {
  struct sys_pidfd_info info = {0};
  int fd = (int)syscall(NR_pidfd_open, thread, SYS_PIDFD_THREAD);
  if (fd < 0) return false;
  bool known = ioctl(fd, SYS_PIDFD_GET_INFO, &info) == 0 && info.mask & SYS_PIDFD_INFO_PID;
  close(fd);
  process = info.tgid;
  *parent = info.ppid;
  return known;
}

/* The same from the text of /proc/PID/status. */
static void identify(uint32_t *parent) {
  char path[64], text[1024];
  if (identify_quickly(parent)) return;
  snprintf(path, sizeof path, "/proc/%d/status", thread);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[length < 0 ? 0 : length] = 0;
  const char *group = strstr(text, "\nTgid:"), *father = strstr(text, "\nPPid:");
  process = group ? (uint32_t)strtoul(group + 6, NULL, 10) : (uint32_t)thread;
  *parent = father ? (uint32_t)strtoul(father + 6, NULL, 10) : 0;
}

static const struct watch *find_watch(int nr) {
  for (uint32_t i = 0; i < watch_count; i++)
    if (watches[i].nr == (uint32_t)nr) return &watches[i];
  return NULL;
}

static void describe(const struct seccomp_notif *call, bool *starts) {
  uint32_t parent;
  uint64_t how[3] = {0};
  const struct watch *watch = find_watch(call->data.nr);
  flags = 0;
  identify(&parent);
  if (watch && watch->how != WATCH_NONE && !read_memory(call->data.args[watch->how], how, sizeof how))
    flags |= FLAG_UNREADABLE;
  *starts = watch && watch->argv != WATCH_NONE;
  record_begin(*starts ? RECORD_START : RECORD_CALL);
  record_u32((uint32_t)call->data.nr);
  record_u32((uint32_t)thread);
  record_u32(process);
  record_u32(parent);
  for (int i = 0; i < 6; i++) record_u64(call->data.args[i]);
  for (int i = 0; i < 3; i++) record_u64(how[i]);
  part_link(TAG_EXECUTABLE, "exe");
  if (watch) {
    part_path(call, watch, 0);
    part_path(call, watch, 1);
    if (watch->fd != WATCH_NONE) part_descriptor(TAG_DIR_A, (int)call->data.args[watch->fd]);
    if (watch->argv != WATCH_NONE) {
      part_link(TAG_CWD, "cwd");
      part_arguments(call->data.args[watch->argv]);
    }
  }
  record_u32(TAG_END);
  record_u32(flags);
}

bool monitor_take(int listener, uint64_t *id, bool *starts) {
  struct seccomp_notif call;
  memset(&call, 0, sizeof call); /* the kernel refuses one that is not zeroed */
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) return false;
  thread = (pid_t)call.pid;
  describe(&call, starts);
  /* If the caller has died meanwhile its number may be another's: then what was read is nobody's, and the call is
   * never carried out. */
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id)) return false;
  record_end();
  *id = call.id;
  return true;
}

void monitor_continue(int listener, uint64_t id) {
  struct seccomp_notif_resp answer = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
  /* ENOENT: the caller was killed while it waited. */
  (void)!ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}
