/*
 * Attacks on a sandbox, one a name: `attacks NAME [ARGUMENT…]…` separated by commas, each tried in a process of its
 * own. Prints a line for each: its name and `ok` when the attack worked, else the error it met. Built by the tests.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*attack)(char **arguments);

static int put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  int good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0) close(fd);
  return good ? 0 : -1;
}

/* Many attacks want capabilities. A nested user namespace would give them; where there is none, they try anyway. */
static void climb(int more) {
  char map[64];
  unsigned uid = getuid(), gid = getgid();
  if (unshare(CLONE_NEWUSER | more)) return;
  snprintf(map, sizeof map, "0 %u 1", uid);
  put("/proc/self/setgroups", "deny");
  put("/proc/self/uid_map", map);
  snprintf(map, sizeof map, "0 %u 1", gid);
  put("/proc/self/gid_map", map);
}

static int user_namespace(char **a) { (void)a; return unshare(CLONE_NEWUSER); }
static int clone_namespace(char **a) {
  (void)a;
  long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return pid < 0 ? -1 : 0;
}
static int clone3_namespace(char **a) {
  (void)a;
  struct { unsigned long flags, pidfd, child, parent, signal, stack, size, tls; } arguments = {.flags = CLONE_NEWUSER, .signal = SIGCHLD};
  long pid = syscall(435, &arguments, sizeof arguments);
  if (pid == 0) _exit(0);
  return pid < 0 ? -1 : 0;
}
static int mount_tmpfs(char **a) { (void)a; climb(CLONE_NEWNS); return mount("tmpfs", "/tmp", "tmpfs", 0, NULL); }
static int new_mount(char **a) { (void)a; climb(CLONE_NEWNS); return (int)syscall(430, "tmpfs", 0) < 0 ? -1 : 0; }
static int unmount(char **a) { (void)a; climb(CLONE_NEWNS); return mount("tmpfs", "/tmp", "tmpfs", 0, NULL) || umount2("/tmp", MNT_DETACH); }
static int change_root(char **a) { (void)a; climb(0); return chroot("/tmp"); }
static int set_namespace(char **a) {
  (void)a;
  climb(CLONE_NEWUTS);
  int fd = open("/proc/self/ns/uts", O_RDONLY);
  return fd < 0 ? -1 : setns(fd, CLONE_NEWUTS);
}
static int host_name(char **a) { (void)a; climb(CLONE_NEWUTS); return sethostname("x", 1); }
static int raw_socket(char **a) { (void)a; climb(CLONE_NEWNET); return socket(AF_INET, SOCK_RAW, 1) < 0 ? -1 : 0; }
static int packet_socket(char **a) { (void)a; climb(CLONE_NEWNET); return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? -1 : 0; }
static int vsock(char **a) { (void)a; return socket(40, SOCK_STREAM, 0) < 0 ? -1 : 0; }
static int crypto_socket(char **a) { (void)a; return socket(38, SOCK_SEQPACKET, 0) < 0 ? -1 : 0; }
static int netfilter_socket(char **a) { (void)a; return socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) < 0 ? -1 : 0; }
static int netlink_write(char **a) {
  (void)a;
  climb(CLONE_NEWNET);
  struct { struct nlmsghdr header; struct ifinfomsg link; } request = {
      {sizeof request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0}, {.ifi_index = 1, .ifi_flags = 0, .ifi_change = 1}};
  char answer[512];
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  if (fd < 0 || send(fd, &request, sizeof request, 0) < 0 || recv(fd, answer, sizeof answer, 0) < 0) return -1;
  struct nlmsgerr *error = NLMSG_DATA((struct nlmsghdr *)(void *)answer);
  errno = -error->error;
  return error->error ? -1 : 0;
}
static pid_t victim(void) {
  pid_t pid = fork();
  if (pid == 0) { pause(); _exit(0); }
  return pid;
}
static int finish(pid_t pid, int result) {
  int error = errno;
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  errno = error;
  return result;
}
static int trace(char **a) { (void)a; pid_t pid = victim(); return finish(pid, ptrace(0x4206, pid, NULL, NULL) ? -1 : 0); }
static int read_memory(char **a) {
  (void)a;
  char here[4];
  pid_t pid = victim();
  struct iovec to = {here, 4}, from = {here, 4};
  return finish(pid, process_vm_readv(pid, &to, 1, &from, 1, 0) == 4 ? 0 : -1);
}
static int steal_descriptor(char **a) {
  (void)a;
  pid_t pid = victim();
  int pidfd = (int)syscall(434, pid, 0);
  return finish(pid, syscall(438, pidfd, 0, 0) < 0 ? -1 : 0);
}
static int compare(char **a) { (void)a; pid_t pid = victim(); return finish(pid, syscall(SYS_kcmp, pid, getpid(), 0, 0, 0) < 0 ? -1 : 0); }
/* An unknown command: refused by the kernel itself with EINVAL, if it gets there. */
static int bpf(char **a) { (void)a; return syscall(SYS_bpf, 9999, NULL, 0) < 0 && errno != EINVAL ? -1 : 0; }
static int io_uring(char **a) { (void)a; char room[256] = {0}; return syscall(425, 1, room) < 0 ? -1 : 0; }
static int keyring(char **a) { (void)a; return syscall(SYS_keyctl, 0, -3, 1) < 0 ? -1 : 0; }
static int add_key(char **a) { (void)a; return syscall(SYS_add_key, "user", "x", "y", 1, -3) < 0 ? -1 : 0; }
static int fault_handler(char **a) { (void)a; return syscall(SYS_userfaultfd, 1) < 0 ? -1 : 0; }
static int file_handle(char **a) {
  (void)a;
  struct { unsigned bytes; int type; char room[128]; } handle = {.bytes = 128};
  int mount_id;
  return syscall(SYS_name_to_handle_at, AT_FDCWD, "/usr", &handle, &mount_id, 0) < 0 ? -1 : 0;
}
static int odd_personality(char **a) { (void)a; return syscall(SYS_personality, 0x0400000) < 0 ? -1 : 0; }
/* A table of descriptors that /proc/PID/fd does not show: connections held in it would be nobody's. */
static int own_descriptors(char **a) { (void)a; return (int)syscall(436, 100, 200, 2); }
static int do_nothing(void *argument) { (void)argument; return 0; }
static int thread_descriptors(char **a) {
  (void)a;
  static char stack[65536] __attribute__((aligned(16)));
  return clone(do_nothing, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL) < 0 ? -1 : 0;
}
static int hide_from_proc(char **a) { (void)a; return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
static int set_uid_bit(char **a) {
  int fd = open(a[0], O_CREAT | O_WRONLY, 0700);
  return fd < 0 || fchmod(fd, 04755) ? -1 : 0;
}
static int type_into_terminal(char **a) { (void)a; int fd = open("/dev/tty", O_RDWR); return fd < 0 ? -1 : ioctl(fd, TIOCSTI, "\n"); }
static int foreign_call(char **a) {
  (void)a;
  /* Harmless numbers, so that only the ABI can be what is refused. */
#ifdef __x86_64__
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory");
  return result > 0 ? 0 : (errno = -result, -1);
#else
  return 0;
#endif
}
static int x32_call(char **a) {
  (void)a;
  /* The kernel may know no x32; what matters is that the call is answered and not taken for another. */
  return syscall(0x40000000 + 39) < 0 && errno != ENOSYS ? -1 : 0;
}
static int read_file(char **a) { char c; int fd = open(a[0], O_RDONLY); return fd < 0 || read(fd, &c, 1) < 0 ? -1 : 0; }
static int write_file(char **a) { return put(a[0], "stolen") ? -1 : 0; }
static int create_file(char **a) { return open(a[0], O_CREAT | O_EXCL | O_WRONLY, 0600) < 0 ? -1 : 0; }
static int cut_file(char **a) { return truncate(a[0], 0); }
static int hard_link(char **a) { return link(a[0], a[1]); }
static int move_file(char **a) { return rename(a[0], a[1]); }
static int remove_file(char **a) { return unlink(a[0]); }
static int change_mode(char **a) { return chmod(a[0], 0777); }
static int open_writable(char **a) { return open(a[0], O_WRONLY) < 0 ? -1 : 0; }
static int signal_process(char **a) { return kill(atoi(a[0]), 0); }
static int abstract_socket(char **a) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  strncpy(address.sun_path + 1, a[0], sizeof address.sun_path - 2);
  return connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a[0])));
}
static int become_root(char **a) { (void)a; errno = EPERM; return geteuid() == 0 ? 0 : -1; }
/* Holds as many processes as it is given; works when it gets them all. */
static int fork_many(char **a) {
  int wanted = atoi(a[0]), got = 0, error = 0;
  pid_t *all = calloc((size_t)wanted, sizeof *all);
  for (; got < wanted; got++) {
    all[got] = fork();
    if (all[got] == 0) { prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); pause(); _exit(0); }
    if (all[got] < 0) { error = errno; break; }
  }
  for (int i = 0; i < got; i++) kill(all[i], SIGKILL);
  for (int i = 0; i < got; i++) waitpid(all[i], NULL, 0);
  errno = error;
  return got == wanted ? 0 : -1;
}

/* Never ends by itself: each process makes more for as long as it can. */
static int fork_bomb(char **a) {
  (void)a;
  (void)!write(1, "bomb\n", 5);
  for (;;)
    if (fork() == -2) return 0;
}
/* Asks for core dumps in both ways; works when the limit has changed. */
static int core_dumps(char **a) {
  (void)a;
  struct rlimit limit = {0, 0}, now;
  if (setrlimit(RLIMIT_CORE, &limit) || syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, NULL)) return -1;
  errno = EPERM;
  return getrlimit(RLIMIT_CORE, &now) || now.rlim_cur != 0 ? -1 : 0;
}
static int make_set_id(char **a) { return open(a[0], O_CREAT | O_EXCL | O_WRONLY, 02700) < 0 ? -1 : 0; }
static int make_set_id2(char **a) {
  struct { unsigned long long flags, mode, resolve; } how = {O_CREAT | O_EXCL | O_WRONLY, 02700, 0};
  return syscall(437, AT_FDCWD, a[0], &how, sizeof how) < 0 ? -1 : 0;
}

static const struct { const char *name; attack run; } attacks[] = {
    {"fork_bomb", fork_bomb}, {"core_dumps", core_dumps},
    {"user_namespace", user_namespace}, {"clone_namespace", clone_namespace}, {"clone3_namespace", clone3_namespace},
    {"mount", mount_tmpfs}, {"new_mount", new_mount}, {"unmount", unmount}, {"chroot", change_root},
    {"setns", set_namespace}, {"sethostname", host_name}, {"raw_socket", raw_socket}, {"packet_socket", packet_socket},
    {"vsock", vsock}, {"crypto_socket", crypto_socket}, {"netfilter_socket", netfilter_socket},
    {"netlink_write", netlink_write}, {"ptrace", trace}, {"read_memory", read_memory},
    {"steal_descriptor", steal_descriptor}, {"kcmp", compare}, {"bpf", bpf}, {"io_uring", io_uring},
    {"keyring", keyring}, {"add_key", add_key}, {"userfaultfd", fault_handler}, {"file_handle", file_handle},
    {"own_descriptors", own_descriptors}, {"thread_descriptors", thread_descriptors}, {"hide_from_proc", hide_from_proc},
    {"personality", odd_personality}, {"set_uid_bit", set_uid_bit}, {"make_set_id", make_set_id}, {"make_set_id2", make_set_id2}, {"tiocsti", type_into_terminal},
    {"int80", foreign_call}, {"x32", x32_call}, {"read", read_file}, {"write", write_file}, {"create", create_file},
    {"truncate", cut_file}, {"link", hard_link}, {"rename", move_file}, {"unlink", remove_file}, {"chmod", change_mode},
    {"open_writable", open_writable}, {"signal", signal_process}, {"abstract", abstract_socket},
    {"become_root", become_root}, {"fork_many", fork_many},
};

static void try(char **arguments) {
  int report[2], error = -1;
  if (pipe(report)) exit(2);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++)
      if (!strcmp(attacks[i].name, arguments[0])) {
        error = attacks[i].run(arguments + 1) == 0 ? 0 : errno ? errno : EPERM;
        break;
      }
    (void)!write(report[1], &error, sizeof error);
    _exit(0);
  }
  close(report[1]);
  int status;
  waitpid(pid, &status, 0);
  ssize_t got = read(report[0], &error, sizeof error);
  close(report[0]);
  for (char **a = arguments; *a; a++) printf("%s%s", a == arguments ? "" : " ", *a);
  if (WIFSIGNALED(status)) printf("\tsignal %d\n", WTERMSIG(status));
  else if (got != sizeof error || error < 0) printf("\tunknown\n");
  else printf("\t%s\n", error ? strerrorname_np(error) : "ok");
}

int main(int argc, char **argv) {
  for (int from = 1; from < argc;) {
    int to = from;
    while (to < argc && strcmp(argv[to], ",")) to++;
    char **arguments = calloc((size_t)(to - from) + 1, sizeof *arguments);
    memcpy(arguments, argv + from, (size_t)(to - from) * sizeof *arguments);
    try(arguments);
    from = to + 1;
  }
  return 0;
}
