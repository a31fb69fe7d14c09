/* Facts about this kernel, each tried rather than read off a version number, as one line of JSON. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "launch.h"
#include "sys.h"

/* Bits of a trial's exit status; trials run in a child, because there is no way back from them. */
enum { TRIED_USERNS = 1, TRIED_MOUNT = 2, TRIED_PROC = 4, TRIED_OVERLAY = 8, TRIED_PID_MAX = 16 };
enum { TRIED_NOTIFY = 1, TRIED_SYNC = 2, TRIED_KILLABLE = 4 };

static int in_child(int (*trial)(void), unsigned long flags) {
  pid_t child = (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  int status = 0;
  if (child < 0) return 0;
  if (child == 0) _exit(trial());
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static bool put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0) close(fd);
  return good;
}

static uid_t outer_uid;
static gid_t outer_gid;

static int try_namespaces(void) {
  char map[64];
  int got = 0;
  snprintf(map, sizeof map, "%u %u 1", outer_uid, outer_uid);
  if (!put("/proc/self/setgroups", "deny") || !put("/proc/self/uid_map", map)) return got;
  snprintf(map, sizeof map, "%u %u 1", outer_gid, outer_gid);
  if (!put("/proc/self/gid_map", map)) return got;
  got |= TRIED_USERNS;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("tmpfs", "/tmp", "tmpfs", 0, "size=64k")) return got;
  got |= TRIED_MOUNT;
  if (mkdir("/tmp/proc", 0700) || mkdir("/tmp/l", 0700) || mkdir("/tmp/u", 0700) || mkdir("/tmp/w", 0700)) return got;
  if (!mount("overlay", "/tmp/l", "overlay", 0, "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w,userxattr"))
    got |= TRIED_OVERLAY;
  if (mount("proc", "/tmp/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)) return got;
  got |= TRIED_PROC;
  /* Per pid namespace since Linux 6.14; before, this is the host's own, which root must not try to write. */
  if (outer_uid && put("/tmp/proc/sys/kernel/pid_max", "4096")) got |= TRIED_PID_MAX;
  return got;
}

static const unsigned long all_namespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
                                            CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

/* Root's sandboxes run as another user: the same trial once more as one. */
static int try_unprivileged(void) {
  outer_uid = outer_gid = 60999;
  if (setgroups(0, NULL) || setresgid(outer_gid, outer_gid, outer_gid) || setresuid(outer_uid, outer_uid, outer_uid) ||
      prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
    return 0;
  return in_child(try_namespaces, all_namespaces);
}

static int notify_with(unsigned long flags) {
  struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog program = {1, allow};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int try_notify(void) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 0;
  int fd = notify_with(SYS_FILTER_NEW_LISTENER | SYS_FILTER_WAIT_KILLABLE), got = TRIED_KILLABLE;
  if (fd < 0) {
    fd = notify_with(SYS_FILTER_NEW_LISTENER);
    got = 0;
  }
  if (fd < 0) return 0;
  got |= TRIED_NOTIFY;
  if (!ioctl(fd, SYS_NOTIF_SET_FLAGS, (unsigned long)SYS_NOTIF_SYNC_WAKE_UP)) got |= TRIED_SYNC;
  return got;
}

static int wait_for_end(void) { return pause(); }

/* An idmapped bind of the root directory, made and dropped: works or not by kernel, file system and privilege. */
static bool try_idmap(void) {
  pid_t helper = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (helper == 0) _exit(wait_for_end());
  if (helper < 0) return false;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/uid_map", helper);
  bool good = put(path, "0 1 1");
  snprintf(path, sizeof path, "/proc/%d/gid_map", helper);
  good = good && put(path, "0 1 1");
  snprintf(path, sizeof path, "/proc/%d/ns/user", helper);
  int users = open(path, O_RDONLY | O_CLOEXEC);
  int tree = (int)syscall(NR_open_tree, AT_FDCWD, "/", SYS_OPEN_TREE_CLONE | O_CLOEXEC);
  struct sys_mount_attr attributes = {.attr_set = SYS_MOUNT_IDMAP, .userns_fd = (uint64_t)users};
  good = good && users >= 0 && tree >= 0 &&
         !syscall(NR_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
  kill(helper, SIGKILL);
  while (waitpid(helper, NULL, 0) < 0 && errno == EINTR) {}
  return good;
}

static bool has_mount_api(void) {
  int tree = (int)syscall(NR_open_tree, AT_FDCWD, "/", O_CLOEXEC);
  struct sys_mount_attr nothing = {0};
  /* Without privilege the call is refused, but a kernel that lacks it says so. */
  bool good = tree >= 0 && (!syscall(NR_mount_setattr, tree, "", AT_EMPTY_PATH, &nothing, sizeof nothing) ||
                            errno != ENOSYS);
  if (tree >= 0) close(tree);
  return good;
}

static const char *truth(int value) { return value ? "true" : "false"; }

int probe(void) {
  outer_uid = geteuid();
  outer_gid = getegid();
  long landlock = syscall(NR_landlock_create_ruleset, NULL, 0UL, SYS_LANDLOCK_VERSION);
  int spaces = in_child(try_namespaces, all_namespaces);
  if (!outer_uid) spaces |= in_child(try_unprivileged, 0) & TRIED_PID_MAX;
  int notify = in_child(try_notify, 0);
  printf("{\"landlockAbi\":%ld,\"userNamespaces\":%s,\"privateMounts\":%s,\"freshProc\":%s,\"overlay\":%s,"
         "\"pidMaxPerNamespace\":%s,\"seccompNotify\":%s,\"syncWakeUp\":%s,\"waitKillable\":%s,\"mountApi\":%s,"
         "\"idmappedMounts\":%s}\n",
         landlock < 0 ? 0 : landlock, truth(spaces & TRIED_USERNS), truth(spaces & TRIED_MOUNT),
         truth(spaces & TRIED_PROC), truth(spaces & TRIED_OVERLAY), truth(spaces & TRIED_PID_MAX),
         truth(notify & TRIED_NOTIFY), truth(notify & TRIED_SYNC), truth(notify & TRIED_KILLABLE),
         truth(has_mount_api()), truth(outer_uid == 0 && try_idmap()));
  return fflush(stdout) == 0 ? 0 : 1;
}
