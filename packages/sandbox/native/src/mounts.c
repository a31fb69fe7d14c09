/* The root that the command sees. Host paths are opened without following a symbolic link; paths in the new root are
 * resolved beneath it, so neither a link planted in a bound directory nor `..` can lead a step elsewhere. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "launch.h"
#include "sys.h"

static int open_beneath(int directory, const char *path, int flags, uint64_t resolve) {
  struct sys_open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve};
  return (int)syscall(NR_openat2, directory, path, &how, sizeof how);
}

int inner_open(const char *path, int flags) {
  return open_beneath(launch.root, path, flags,
                      SYS_RESOLVE_BENEATH | SYS_RESOLVE_NO_SYMLINKS | SYS_RESOLVE_NO_MAGICLINKS);
}

/* Opens the directory that holds `path` and points `name` at the last component. */
static int inner_parent(const char *path, const char **name) {
  char parent[PLAN_MAX_PATH];
  const char *slash = strrchr(path, '/');
  *name = slash ? slash + 1 : path;
  if (!slash) return inner_open(".", O_PATH | O_DIRECTORY);
  size_t length = (size_t)(slash - path);
  memcpy(parent, path, length);
  parent[length] = 0;
  return inner_open(parent, O_PATH | O_DIRECTORY);
}

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) fail("write", path);
  close(fd);
}

/* A user namespace exists only as long as something holds it: a child makes one, its id maps are written, the
 * descriptor keeps it, the child goes. */
void step_idmap(const struct step *step) {
  int gate[2];
  if (pipe2(gate, O_CLOEXEC)) fail("pipe", NULL);
  pid_t helper = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (helper < 0) fail("clone", "user namespace for an idmapped mount");
  if (helper == 0) {
    char byte;
    close(gate[1]);
    _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(gate[0]);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/uid_map", helper);
  write_text(path, step->idmap.uid_map);
  snprintf(path, sizeof path, "/proc/%d/gid_map", helper);
  write_text(path, step->idmap.gid_map);
  snprintf(path, sizeof path, "/proc/%d/ns/user", helper);
  launch.slots[step->idmap.slot] = open(path, O_RDONLY | O_CLOEXEC);
  if (launch.slots[step->idmap.slot] < 0) fail("open", path);
  close(gate[1]);
  while (waitpid(helper, NULL, 0) < 0 && errno == EINTR) {}
}

void step_tree(const struct step *step) {
  const char *source = step->tree.source;
  int at = *source == '/' ? open_beneath(AT_FDCWD, source, O_PATH, SYS_RESOLVE_NO_SYMLINKS)
                          : inner_open(source, O_PATH);
  if (at < 0) fail("open", source);
  int tree = (int)syscall(NR_open_tree, at, "",
                          SYS_OPEN_TREE_CLONE | O_CLOEXEC | AT_EMPTY_PATH | SYS_AT_RECURSIVE);
  if (tree < 0) fail("open_tree", source);
  close(at);
  struct sys_mount_attr attributes = {.attr_set = step->tree.attributes};
  if (step->tree.idmap != PLAN_NO_SLOT) {
    attributes.attr_set |= SYS_MOUNT_IDMAP;
    attributes.userns_fd = (uint64_t)launch.slots[step->tree.idmap];
  }
  if (syscall(NR_mount_setattr, tree, "", AT_EMPTY_PATH | SYS_AT_RECURSIVE, &attributes, sizeof attributes))
    fail(step->tree.idmap == PLAN_NO_SLOT ? "mount_setattr" : "mount_setattr idmap", source);
  launch.slots[step->tree.slot] = tree;
}

static int make_mount(const struct step *step) {
  int context = (int)syscall(NR_fsopen, step->mount.kind, SYS_FSOPEN_CLOEXEC);
  if (context < 0) fail("fsopen", step->mount.kind);
  for (uint32_t i = 0; i < step->mount.options.count; i++) {
    char *key = step->mount.options.at[i], *equals = strchr(key, '=');
    *equals = 0;
    long failed = syscall(NR_fsconfig, context, SYS_FSCONFIG_STRING, key, equals + 1, 0);
    *equals = '=';
    if (failed) fail("fsconfig", key);
  }
  if (syscall(NR_fsconfig, context, SYS_FSCONFIG_CREATE, NULL, NULL, 0)) fail("fsconfig create", step->mount.kind);
  int mount = (int)syscall(NR_fsmount, context, SYS_FSMOUNT_CLOEXEC, (unsigned)step->mount.attributes);
  if (mount < 0) fail("fsmount", step->mount.kind);
  close(context);
  return mount;
}

/* Attached on the host side of this mount namespace first, because pivot_root wants a mount point; nothing on the
 * host sees it, the namespace being ours and private. */
void step_root(const struct step *step) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) fail("mount private", "/");
  launch.root = make_mount(step);
  if (syscall(NR_move_mount, launch.root, "", AT_FDCWD, step->mount.path, SYS_MOVE_FROM_EMPTY))
    fail("move_mount", step->mount.path);
}

void step_directory(const struct step *step) {
  const char *name;
  int parent = inner_parent(step->file.path, &name);
  if (parent < 0) fail("open parent of", step->file.path);
  if (mkdirat(parent, name, step->file.mode)) {
    struct stat status;
    if (errno != EEXIST || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW)) fail("mkdir", step->file.path);
    errno = ENOTDIR;
    if (!S_ISDIR(status.st_mode)) fail("mkdir", step->file.path);
  }
  close(parent);
}

void step_symlink(const struct step *step) {
  const char *name;
  int parent = inner_parent(step->symlink.path, &name);
  if (parent < 0) fail("open parent of", step->symlink.path);
  if (symlinkat(step->symlink.target, parent, name)) fail("symlink", step->symlink.path);
  close(parent);
}

static void write_all(int fd, struct bytes bytes, const char *path) {
  for (uint32_t done = 0; done < bytes.length;) {
    ssize_t wrote = write(fd, bytes.at + done, bytes.length - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) fail("write", path);
    done += (uint32_t)wrote;
  }
}

void step_file(const struct step *step) {
  const char *name;
  int parent = inner_parent(step->file.path, &name);
  if (parent < 0) fail("open parent of", step->file.path);
  int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, step->file.mode);
  if (fd < 0) fail("create", step->file.path);
  write_all(fd, step->file.bytes, step->file.path);
  close(fd);
  close(parent);
}

/* Into a file that exists: /proc/sys of the new namespaces. One write, as sysctl files want it. */
void step_write(const struct step *step) {
  int fd = inner_open(step->file.path, O_WRONLY);
  if (fd < 0) fail("open", step->file.path);
  if (write(fd, step->file.bytes.at, step->file.bytes.length) != (ssize_t)step->file.bytes.length)
    fail("write", step->file.path);
  close(fd);
}

static void attach(int mount, const char *path) {
  int at = inner_open(path, O_PATH);
  if (at < 0) fail("open mount point", path);
  if (syscall(NR_move_mount, mount, "", at, "", SYS_MOVE_FROM_EMPTY | SYS_MOVE_TO_EMPTY)) fail("move_mount", path);
  close(at);
  close(mount);
}

void step_mount(const struct step *step) { attach(make_mount(step), step->mount.path); }

void step_attach(const struct step *step) {
  errno = EBADF;
  int tree = launch.slots[step->attach.slot];
  if (tree < 0) fail("no tree for", step->attach.path);
  launch.slots[step->attach.slot] = -1;
  attach(tree, step->attach.path);
}

void step_attributes(const struct step *step) {
  int at = inner_open(step->attributes.path, O_PATH);
  if (at < 0) fail("open", step->attributes.path);
  struct sys_mount_attr attributes = {.attr_set = step->attributes.attributes};
  int flags = AT_EMPTY_PATH | (step->attributes.recursive ? SYS_AT_RECURSIVE : 0);
  if (syscall(NR_mount_setattr, at, "", flags, &attributes, sizeof attributes))
    fail("mount_setattr", step->attributes.path);
  close(at);
}

/* pivot_root(".", ".") stacks the old root over the new one, from where it is detached whole (pivot_root(2)). */
void step_pivot(const struct step *step) {
  (void)step;
  if (fchdir(launch.root)) fail("fchdir", "new root");
  if (syscall(SYS_pivot_root, ".", ".")) fail("pivot_root", NULL);
  if (umount2(".", MNT_DETACH)) fail("umount", "old root");
  if (chdir("/")) fail("chdir", "/");
}
