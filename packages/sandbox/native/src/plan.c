#include "plan.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cursor {
  const uint8_t *at, *end;
  const char *problem;
};

static void bad(struct cursor *in, const char *problem) {
  if (!in->problem) in->problem = problem;
  in->at = in->end;
}

static const uint8_t *take(struct cursor *in, size_t length) {
  if (in->problem || (size_t)(in->end - in->at) < length) {
    bad(in, "a field runs past its step");
    return NULL;
  }
  const uint8_t *at = in->at;
  in->at += length;
  return at;
}

static uint32_t take_u32(struct cursor *in) {
  uint32_t value = 0;
  const uint8_t *at = take(in, sizeof value);
  if (at) memcpy(&value, at, sizeof value);
  return value;
}

static uint64_t take_u64(struct cursor *in) {
  uint64_t value = 0;
  const uint8_t *at = take(in, sizeof value);
  if (at) memcpy(&value, at, sizeof value);
  return value;
}

static bool take_bool(struct cursor *in) {
  uint32_t value = take_u32(in);
  if (value > 1) bad(in, "a flag is neither 0 nor 1");
  return value == 1;
}

static uint32_t take_limited(struct cursor *in, uint32_t limit, const char *problem) {
  uint32_t value = take_u32(in);
  if (value > limit) bad(in, problem);
  return in->problem ? 0 : value;
}

static struct bytes take_bytes(struct cursor *in) {
  struct bytes bytes = {0};
  bytes.length = take_u32(in);
  bytes.at = take(in, bytes.length);
  if (!bytes.at) bytes.length = 0;
  return bytes;
}

/* Text is written with its terminating NUL, so that it can be used where it lies. */
static const char *take_text(struct cursor *in, uint32_t limit) {
  struct bytes bytes = take_bytes(in);
  if (in->problem) return "";
  if (bytes.length == 0 || bytes.length > limit) {
    bad(in, "a text is empty or too long");
    return "";
  }
  if (memchr(bytes.at, 0, bytes.length) != bytes.at + bytes.length - 1) {
    bad(in, "a text holds a NUL byte or does not end in one");
    return "";
  }
  return (const char *)bytes.at;
}

static const char *take_path(struct cursor *in) {
  const char *path = take_text(in, PLAN_MAX_PATH);
  if (!in->problem && !*path) bad(in, "a path is empty");
  return path;
}

/* Inside the new root every path is relative to it, so that no step can name the old one by mistake. */
static const char *take_inner_path(struct cursor *in) {
  const char *path = take_path(in);
  if (*path == '/') bad(in, "a path in the new root is absolute");
  return path;
}

static struct texts take_texts(struct cursor *in) {
  struct texts texts = {0};
  uint32_t count = take_limited(in, PLAN_MAX_TEXTS, "too many texts");
  texts.at = calloc((size_t)count + 1, sizeof *texts.at);
  if (!texts.at) {
    bad(in, "out of memory");
    return texts;
  }
  for (; texts.count < count && !in->problem; texts.count++)
    texts.at[texts.count] = (char *)(uintptr_t)take_text(in, PLAN_MAX_TEXT);
  return texts;
}

static uint32_t take_slot(struct cursor *in) {
  return take_limited(in, PLAN_MAX_SLOTS - 1, "a slot number is too large");
}

static void take_watches(struct cursor *in, struct step *step) {
  struct bytes bytes = take_bytes(in);
  uint32_t count = bytes.length / WATCH_BYTES;
  if (bytes.length % WATCH_BYTES || count > PLAN_MAX_WATCHES) return bad(in, "the monitor's table is malformed");
  step->monitor.at = calloc((size_t)count + 1, sizeof *step->monitor.at);
  if (!step->monitor.at) return bad(in, "out of memory");
  for (uint32_t i = 0; i < count; i++) {
    const uint8_t *row = bytes.at + (size_t)i * WATCH_BYTES;
    for (int field = 4; field < 11; field++)
      if (row[field] != WATCH_NONE && row[field] > 5) return bad(in, "a system call has no such argument");
    struct watch *watch = &step->monitor.at[i];
    memcpy(&watch->nr, row, 4);
    watch->at[0].dir = row[4];
    watch->at[0].path = row[5];
    watch->at[1].dir = row[6];
    watch->at[1].path = row[7];
    watch->argv = row[8];
    watch->fd = row[9];
    watch->how = row[10];
    step->monitor.count = i + 1;
  }
}

static void take_socket(struct cursor *in, struct step *step) {
  step->socket.domain = take_u32(in);
  step->socket.type = take_u32(in);
  step->socket.backlog = take_limited(in, 65535, "a backlog is too large");
  step->socket.address = take_bytes(in);
  if (step->socket.address.length > 128) bad(in, "a socket address is too long");
  step->socket.count = take_limited(in, PLAN_MAX_OPTIONS, "too many socket options");
  for (uint32_t i = 0; i < step->socket.count; i++) {
    step->socket.options[i].level = (int32_t)take_u32(in);
    step->socket.options[i].name = (int32_t)take_u32(in);
    step->socket.options[i].value = (int32_t)take_u32(in);
  }
  step->socket.handoff = take_text(in, PLAN_MAX_PATH);
}

static void take_filter(struct cursor *in, struct step *step) {
  step->seccomp.flags = take_u32(in);
  step->seccomp.listener = take_bool(in);
  struct bytes bytes = take_bytes(in);
  uint32_t count = bytes.length / sizeof(struct sock_filter);
  if (in->problem || bytes.length % sizeof(struct sock_filter) || count == 0 || count > PLAN_MAX_FILTER)
    return bad(in, "a seccomp program has an impossible length");
  step->seccomp.program = malloc(bytes.length);
  if (!step->seccomp.program) return bad(in, "out of memory");
  memcpy(step->seccomp.program, bytes.at, bytes.length);
  step->seccomp.length = (uint16_t)count;
}

static void take_mount(struct cursor *in, struct step *step) {
  step->mount.kind = take_text(in, 64);
  step->mount.options = take_texts(in);
  for (uint32_t i = 0; i < step->mount.options.count && !in->problem; i++)
    if (!strchr(step->mount.options.at[i], '=')) bad(in, "a mount option has no value");
  step->mount.attributes = take_u64(in);
}

static void take_enter(struct cursor *in, struct step *step) {
  step->enter.flags = take_u32(in);
  step->enter.drop_groups = take_bool(in);
  step->enter.uid_map = take_text(in, PLAN_MAX_PATH);
  step->enter.gid_map = take_text(in, PLAN_MAX_PATH);
  step->enter.uid = take_u32(in);
  step->enter.gid = take_u32(in);
}

static void take_body(struct cursor *in, struct step *step) {
  switch (step->op) {
    case OP_MONITOR:
      return take_watches(in, step);
    case OP_IDMAP:
      step->idmap.slot = take_slot(in);
      step->idmap.uid_map = take_text(in, PLAN_MAX_PATH);
      step->idmap.gid_map = take_text(in, PLAN_MAX_PATH);
      return;
    case OP_TREE:
      step->tree.slot = take_slot(in);
      step->tree.source = take_path(in);
      step->tree.attributes = take_u64(in);
      step->tree.idmap = take_u32(in);
      if (step->tree.idmap != PLAN_NO_SLOT && step->tree.idmap >= PLAN_MAX_SLOTS)
        bad(in, "a slot number is too large");
      return;
    case OP_ENTER:
      return take_enter(in, step);
    case OP_HOSTNAME:
      step->hostname.name = take_text(in, 65);
      return;
    case OP_NETLINK:
      step->netlink.protocol = take_u32(in);
      step->netlink.acks = take_limited(in, 1024, "too many acknowledgements");
      step->netlink.keep = take_bool(in);
      step->netlink.bytes = take_bytes(in);
      return;
    case OP_SOCKET:
      return take_socket(in, step);
    case OP_ROOT:
      take_mount(in, step);
      step->mount.path = take_path(in);
      return;
    case OP_MOUNT:
      take_mount(in, step);
      step->mount.path = take_inner_path(in);
      return;
    case OP_DIRECTORY:
      step->file.path = take_inner_path(in);
      step->file.mode = take_limited(in, 07777, "a mode has unknown bits");
      return;
    case OP_FILE:
      step->file.path = take_inner_path(in);
      step->file.mode = take_limited(in, 07777, "a mode has unknown bits");
      step->file.bytes = take_bytes(in);
      return;
    case OP_WRITE:
      step->file.path = take_inner_path(in);
      step->file.bytes = take_bytes(in);
      return;
    case OP_SYMLINK:
      step->symlink.target = take_path(in);
      step->symlink.path = take_inner_path(in);
      return;
    case OP_ATTACH:
      step->attach.slot = take_slot(in);
      step->attach.path = take_inner_path(in);
      return;
    case OP_ATTRIBUTES:
      step->attributes.path = take_inner_path(in);
      step->attributes.attributes = take_u64(in);
      step->attributes.recursive = take_bool(in);
      return;
    case OP_RLIMIT:
      step->rlimit.resource = take_limited(in, 15, "no such resource");
      step->rlimit.soft = take_u64(in);
      step->rlimit.hard = take_u64(in);
      return;
    case OP_LANDLOCK:
      step->landlock.fs = take_u64(in);
      step->landlock.net = take_u64(in);
      step->landlock.scoped = take_u64(in);
      step->landlock.size = take_limited(in, 24, "the Landlock attribute is too long");
      return;
    case OP_LANDLOCK_PATH:
      step->landlock_path.path = take_inner_path(in);
      step->landlock_path.access = take_u64(in);
      return;
    case OP_LANDLOCK_SEAL:
      step->landlock_seal.flags = take_u32(in);
      return;
    case OP_SECCOMP:
      return take_filter(in, step);
    case OP_CHDIR:
      step->file.path = take_path(in);
      return;
    case OP_EXEC:
      step->exec.candidates = take_texts(in);
      step->exec.argv = take_texts(in);
      step->exec.environment = take_texts(in);
      if (!in->problem && (!step->exec.candidates.count || !step->exec.argv.count)) bad(in, "there is no command");
      return;
    case OP_PIVOT:
    case OP_TERMINAL:
    case OP_FINISH:
    case OP_SPAWN:
    case OP_NO_NEW_PRIVILEGES:
    case OP_CAPABILITIES:
    case OP_COUNT:
      return;
  }
}

static const uint8_t places[OP_COUNT] = {
    [OP_MONITOR] = OUTER,
    [OP_IDMAP] = OUTER,
    [OP_TREE] = OUTER | INIT,
    [OP_ENTER] = OUTER,
    [OP_HOSTNAME] = INIT,
    [OP_NETLINK] = INIT,
    [OP_SOCKET] = INIT,
    [OP_ROOT] = INIT,
    [OP_DIRECTORY] = INIT,
    [OP_SYMLINK] = INIT,
    [OP_FILE] = INIT,
    [OP_WRITE] = INIT,
    [OP_MOUNT] = INIT,
    [OP_ATTACH] = INIT,
    [OP_ATTRIBUTES] = INIT,
    [OP_PIVOT] = INIT,
    [OP_TERMINAL] = INIT,
    [OP_FINISH] = INIT,
    [OP_SPAWN] = INIT,
    [OP_RLIMIT] = COMMAND,
    [OP_NO_NEW_PRIVILEGES] = COMMAND,
    [OP_CAPABILITIES] = COMMAND,
    [OP_LANDLOCK] = COMMAND,
    [OP_LANDLOCK_PATH] = COMMAND,
    [OP_LANDLOCK_SEAL] = COMMAND,
    [OP_SECCOMP] = COMMAND,
    [OP_CHDIR] = COMMAND,
    [OP_EXEC] = COMMAND,
};

/* The order that everything else relies on: outside, then inside, then the command; nothing after the last step. */
static const char *check_order(const struct plan *plan) {
  enum place place = OUTER;
  uint32_t sockets = 0, monitors = 0, listeners = 0, terminals = 0, roots = 0, kept = 0;
  for (uint32_t i = 0; i < plan->count; i++) {
    const struct step *step = &plan->steps[i];
    if (!(places[step->op] & place)) return "a step stands where it cannot run";
    if (step->op == OP_ENTER) place = INIT;
    if (step->op == OP_SPAWN) place = COMMAND;
    sockets += step->op == OP_SOCKET;
    monitors += step->op == OP_MONITOR;
    terminals += step->op == OP_TERMINAL;
    roots += step->op == OP_ROOT;
    kept += step->op == OP_NETLINK && step->netlink.keep;
    listeners += step->op == OP_SECCOMP && step->seccomp.listener;
    bool last = step->op == OP_EXEC || step->op == OP_FINISH;
    if (last != (i + 1 == plan->count)) return "the plan does not end with its last step";
  }
  if (sockets > PLAN_MAX_SOCKETS) return "too many sockets";
  if (monitors > 1 || listeners > 1 || terminals > 1 || roots > 1 || kept > 1) return "a step stands twice";
  return NULL;
}

/* FNV-1a over 32-bit words: catches a damaged plan; it is no defence against a hostile supervisor. */
static uint32_t checksum(const uint8_t *bytes, uint32_t length) {
  uint32_t hash = 0x811c9dc5;
  for (uint32_t i = 0; i < length; i += 4) {
    uint32_t word;
    memcpy(&word, bytes + i, 4);
    hash = (hash ^ word) * 0x01000193;
  }
  return hash;
}

static const char *decode(struct plan *plan, uint32_t length, uint32_t count) {
  struct cursor all = {plan->bytes, plan->bytes + length, NULL};
  for (uint32_t i = 0; i < count; i++) {
    uint32_t op = take_u32(&all), size = take_u32(&all);
    const uint8_t *body = take(&all, size);
    if (!body) return "a step runs past the plan";
    if (op == 0 || op >= OP_COUNT) return "there is no such step";
    struct cursor in = {body, body + size, NULL};
    struct step *step = &plan->steps[i];
    step->op = (enum op)op;
    take_body(&in, step);
    if (in.problem) return in.problem;
    if (in.end - in.at >= 4) return "a step is longer than its fields";
    plan->count = i + 1;
  }
  if (all.at != all.end) return "bytes are left over after the last step";
  return check_order(plan);
}

static bool read_all(int fd, void *into, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t got = read(fd, (uint8_t *)into + done, length - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += (size_t)got;
  }
  return true;
}

const char *plan_read(int fd, struct plan *plan) {
  uint32_t header[5]; /* magic, version, length of the body, number of steps, checksum of the body */
  *plan = (struct plan){0};
  if (!read_all(fd, header, sizeof header)) return "it ends before its header does";
  if (header[0] != PLAN_MAGIC) return "it does not start with the plan's magic number";
  if (header[1] != PLAN_VERSION) return "it has another version than this program";
  if (header[2] == 0 || header[2] > PLAN_MAX_BYTES || header[2] % 4) return "its length is out of bounds";
  if (header[3] == 0 || header[3] > PLAN_MAX_STEPS) return "its number of steps is out of bounds";
  plan->bytes = malloc(header[2]);
  plan->steps = calloc(header[3], sizeof *plan->steps);
  if (!plan->bytes || !plan->steps) return "out of memory";
  if (!read_all(fd, plan->bytes, header[2])) return "it is shorter than it says";
  if (checksum(plan->bytes, header[2]) != header[4]) return "its checksum does not match";
  return decode(plan, header[2], header[3]);
}
