/*
 * Kernel interfaces that may be newer than the headers of the machine this is built on. Numbers from 424 on are the
 * same on every architecture. Structures are declared under our own names so that no libc header can clash.
 */
#ifndef OPENSHELL_SYS_H
#define OPENSHELL_SYS_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "openshell-init knows the system calls of x86-64 and arm64 only"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the plan is little-endian"
#endif

enum {
  NR_pidfd_send_signal = 424,
  NR_open_tree = 428,
  NR_move_mount = 429,
  NR_fsopen = 430,
  NR_fsconfig = 431,
  NR_fsmount = 432,
  NR_pidfd_open = 434,
  NR_close_range = 436,
  NR_openat2 = 437,
  NR_pidfd_getfd = 438,
  NR_mount_setattr = 442,
  NR_landlock_create_ruleset = 444,
  NR_landlock_add_rule = 445,
  NR_landlock_restrict_self = 446,
};

/* mount_setattr(2) */
struct sys_mount_attr {
  uint64_t attr_set, attr_clr, propagation, userns_fd;
};
enum {
  SYS_MOUNT_RDONLY = 0x1,
  SYS_MOUNT_NOSUID = 0x2,
  SYS_MOUNT_NODEV = 0x4,
  SYS_MOUNT_NOEXEC = 0x8,
  SYS_MOUNT_IDMAP = 0x100000,
  SYS_AT_RECURSIVE = 0x8000,
  SYS_OPEN_TREE_CLONE = 1,
  SYS_MOVE_FROM_EMPTY = 0x4,
  SYS_MOVE_TO_EMPTY = 0x40,
  SYS_FSCONFIG_STRING = 1,
  SYS_FSCONFIG_CREATE = 6,
  SYS_FSOPEN_CLOEXEC = 1,
  SYS_FSMOUNT_CLOEXEC = 1,
};

/* openat2(2) */
struct sys_open_how {
  uint64_t flags, mode, resolve;
};
enum {
  SYS_RESOLVE_NO_MAGICLINKS = 0x02,
  SYS_RESOLVE_NO_SYMLINKS = 0x04,
  SYS_RESOLVE_BENEATH = 0x08,
};

/* landlock(7) */
struct sys_landlock_ruleset {
  uint64_t fs, net, scoped;
};
struct sys_landlock_path {
  uint64_t access;
  int32_t parent;
} __attribute__((packed));
enum { SYS_LANDLOCK_VERSION = 1, SYS_LANDLOCK_PATH_BENEATH = 1 };

/* seccomp(2): ioctl(SECCOMP_IOCTL_NOTIF_SET_FLAGS) takes its argument by value */
#define SYS_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
enum { SYS_NOTIF_SYNC_WAKE_UP = 1, SYS_FILTER_NEW_LISTENER = 8, SYS_FILTER_WAIT_KILLABLE = 32 };

/* ioctl(PIDFD_GET_INFO), linux/pidfd.h; the first 64 bytes, which are its first version */
struct sys_pidfd_info {
  uint64_t mask, cgroup;
  uint32_t pid, tgid, ppid, ids[8], exit_code;
};
_Static_assert(sizeof(struct sys_pidfd_info) == 64, "PIDFD_INFO_SIZE_VER0");
enum { SYS_PIDFD_THREAD = 0200, SYS_PIDFD_INFO_PID = 1 };
#define SYS_PIDFD_GET_INFO _IOWR(0xff, 11, struct sys_pidfd_info)

static inline int sys_close_range(unsigned first, unsigned last) {
  return (int)syscall(NR_close_range, first, last, 0);
}

#endif
