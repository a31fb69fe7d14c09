/*
 * The launch plan: a flat list of steps, decoded from bytes that the supervisor wrote (src/encode.ts holds the other
 * half of this contract). Every bound is checked before the first step runs; a plan that breaks one is refused whole.
 */
#ifndef OPENSHELL_PLAN_H
#define OPENSHELL_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  PLAN_MAGIC = 0x4e50534f, /* "OSPN" */
  PLAN_VERSION = 1,
  PLAN_MAX_BYTES = 16 << 20,
  PLAN_MAX_STEPS = 4096,
  PLAN_MAX_SLOTS = 512,
  PLAN_MAX_PATH = 4096,
  PLAN_MAX_TEXT = 131072, /* one argument or variable: MAX_ARG_STRLEN */
  PLAN_MAX_TEXTS = 65536,
  PLAN_MAX_OPTIONS = 16,
  PLAN_MAX_WATCHES = 128,
  PLAN_MAX_FILTER = 4096, /* BPF_MAXINSNS */
  PLAN_MAX_SOCKETS = 8,
  PLAN_NO_SLOT = 0xffffffff,
};

/* Where a step runs: the launcher outside, pid 1 inside, the process that becomes the command. */
enum place { OUTER = 1, INIT = 2, COMMAND = 4 };

enum op {
  OP_MONITOR = 1,
  OP_IDMAP,
  OP_TREE,
  OP_ENTER,
  OP_HOSTNAME,
  OP_NETLINK,
  OP_SOCKET,
  OP_ROOT,
  OP_DIRECTORY,
  OP_SYMLINK,
  OP_FILE,
  OP_WRITE,
  OP_MOUNT,
  OP_ATTACH,
  OP_ATTRIBUTES,
  OP_PIVOT,
  OP_TERMINAL,
  OP_FINISH,
  OP_SPAWN,
  OP_RLIMIT,
  OP_NO_NEW_PRIVILEGES,
  OP_CAPABILITIES,
  OP_LANDLOCK,
  OP_LANDLOCK_PATH,
  OP_LANDLOCK_SEAL,
  OP_SECCOMP,
  OP_CHDIR,
  OP_EXEC,
  OP_COUNT,
};

struct bytes {
  const uint8_t *at;
  uint32_t length;
};

/* A list of NUL-terminated strings, itself NULL-terminated: fit for execve. */
struct texts {
  char **at;
  uint32_t count;
};

/* Which arguments of a notified system call to read. An index of WATCH_NONE means "has none". */
enum { WATCH_NONE = 0xff, WATCH_BYTES = 12 };
struct watch {
  uint32_t nr;
  struct {
    uint8_t dir, path;
  } at[2];
  uint8_t argv, fd, how;
};

struct socket_option {
  int32_t level, name, value;
};

struct step {
  enum op op;
  union {
    struct {
      struct watch *at;
      uint32_t count;
    } monitor;
    struct {
      uint32_t slot;
      const char *uid_map, *gid_map;
    } idmap;
    struct {
      uint32_t slot, idmap;
      const char *source;
      uint64_t attributes;
    } tree;
    struct {
      uint32_t flags, uid, gid;
      bool drop_groups;
      const char *uid_map, *gid_map;
    } enter;
    struct {
      const char *name;
    } hostname;
    struct {
      uint32_t protocol, acks;
      bool keep;
      struct bytes bytes;
    } netlink;
    struct {
      uint32_t domain, type, backlog, count;
      struct bytes address;
      struct socket_option options[PLAN_MAX_OPTIONS];
      const char *handoff; /* empty: closed again at once */
    } socket;
    struct {
      const char *kind, *path;
      struct texts options;
      uint64_t attributes;
    } mount; /* also ROOT, whose path is where it is first attached on the host */
    struct {
      const char *path;
      uint32_t mode;
      struct bytes bytes;
    } file; /* also DIRECTORY, WRITE and CHDIR */
    struct {
      const char *target, *path;
    } symlink;
    struct {
      uint32_t slot;
      const char *path;
    } attach;
    struct {
      const char *path;
      uint64_t attributes;
      bool recursive;
    } attributes;
    struct {
      uint32_t resource;
      uint64_t soft, hard;
    } rlimit;
    struct {
      uint64_t fs, net, scoped;
      uint32_t size;
    } landlock;
    struct {
      const char *path;
      uint64_t access;
    } landlock_path;
    struct {
      uint32_t flags;
    } landlock_seal;
    struct {
      uint32_t flags;
      bool listener;
      void *program; /* struct sock_filter, aligned copy */
      uint16_t length;
    } seccomp;
    struct {
      struct texts candidates, argv, environment;
    } exec;
  };
};

struct plan {
  uint8_t *bytes;
  struct step *steps;
  uint32_t count;
};

/* Reads one plan from a stream. Returns NULL, or why it was refused. */
const char *plan_read(int fd, struct plan *plan);

#endif
