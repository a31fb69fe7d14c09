import { ALLOW, type Decision, errno } from './assemble.ts';

/**
 * Which system calls a sandboxed program may make: an allow-list in the spirit of the default profiles of container
 * engines. What is in neither list is unknown to us and answers ENOSYS, so that a C library falls back.
 */

const EPERM = errno(1);
export const ENOSYS = errno(38);

const words = (text: string) => text.trim().split(/\s+/);

/** Harmless without privilege inside namespaces of its own. */
export const allowed: readonly string[] = words(`
  accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chown clock_adjtime
  clock_getres clock_gettime clock_nanosleep close connect copy_file_range dup dup2 dup3
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
  eventfd2 execve exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchown fchownat fcntl
  fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
  futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64
  getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
  getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
  getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
  io_pgetevents io_setup io_submit ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
  landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat llistxattr lremovexattr lseek
  lsetxattr lstat madvise map_shadow_stack membarrier memfd_create mincore mkdir mkdirat mlock mlock2 mlockall mmap
  mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv
  msgsnd msync munlock munlockall munmap nanosleep newfstatat pause pidfd_open pidfd_send_signal
  pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll pread64 preadv preadv2 process_mrelease
  pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg
  remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
  rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
  sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
  sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
  semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address
  setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid
  setsid setsockopt setuid setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4
  splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create
  timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times
  tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
`);

/** Known, and refused with EPERM: ways out, into the kernel, or into other processes. */
export const denied: readonly string[] = words(`
  acct add_key bpf chroot clock_settime create_module delete_module fanotify_init fanotify_mark finit_module fsconfig
  fsmount fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup
  ioperm iopl kcmp kexec_file_load kexec_load keyctl listmount lookup_dcookie mbind memfd_secret migrate_pages
  modify_ldt mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree
  open_tree_attr perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv process_vm_writev ptrace
  query_module quotactl quotactl_fd reboot request_key set_mempolicy set_mempolicy_home_node setdomainname
  sethostname setns settimeofday statmount swapoff swapon sysfs syslog umount2 unshare uselib userfaultfd ustat
  vhangup
`);

/** Every CLONE_NEW* that clone(2) knows. */
const NEW_NAMESPACES = 0x7e020000;
const CLONE_FILES = 0x400;
const CLOSE_RANGE_UNSHARE = 2;
const CLONE_THREAD = 0x10000;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
/** IPPROTO_IP (the default of the type), TCP, UDP, MPTCP. */
const PROTOCOLS = [0, 6, 17, 262];
/** TIOCSTI types into a terminal, TIOCLINUX pastes into a console, TIOCSETD loads line disciplines. */
const TERMINAL_IOCTLS = [0x5412, 0x541c, 0x5423];
/** Linux, its 32-bit and 2.6 disguises, without address randomisation, and "tell me". */
const PERSONALITIES = [0, 0x8, 0x20000, 0x20008, 0x40000, 0xffffffff];
/**
 * Set-user-ID and set-group-ID. A program that the agent marks so would lend the rights of the workdir's owner to
 * whoever runs it outside.
 */
const SET_ID = 0o6000;

const unlessSetId = (arg: number): Decision => ({ arg, any: SET_ID, yes: EPERM, no: ALLOW });
/** O_CREAT and the bit of O_TMPFILE that is not O_DIRECTORY: only then is there a mode. */
const MAKES_FILE = 0o20000100;
const unlessMadeSetId = (flags: number): Decision => ({
  arg: flags,
  any: MAKES_FILE,
  yes: unlessSetId(flags + 1),
  no: ALLOW,
});
const AT_EMPTY_PATH = 0x1000;

/** RLIMIT_CORE: changing it would bring core dumps back (see RLIMITS). Answered as done, which it is: there are none. */
const CORE = [4];
const DONE = errno(0);
/** PR_SET_DUMPABLE to 0 would hide a process's descriptors from the supervisor, which then knows nobody's connections. */
const SET_DUMPABLE = [4];
const anyPointer = (arg: number, yes: Decision, no: Decision): Decision => ({
  arg,
  any: 0xffffffff,
  yes,
  no: { arg, high: true, any: 0xffffffff, yes, no },
});

/** Allowed or not by an argument. Numbers are compared on the low word, which is all that the kernel reads of them. */
export const conditional: Readonly<Record<string, Decision>> = {
  clone: {
    arg: 0,
    any: NEW_NAMESPACES,
    yes: EPERM,
    // Threads share one table of descriptors, so that the supervisor sees all of them by looking at one.
    no: { arg: 0, any: CLONE_THREAD, yes: { arg: 0, any: CLONE_FILES, yes: ALLOW, no: EPERM }, no: ALLOW },
  },
  // Its flags lie in memory, where a filter cannot look: C libraries fall back to clone.
  clone3: ENOSYS,
  socket: {
    arg: 0,
    in: [AF_UNIX],
    yes: ALLOW,
    no: {
      arg: 0,
      in: [AF_INET, AF_INET6],
      yes: { arg: 2, in: PROTOCOLS, yes: ALLOW, no: EPERM },
      no: { arg: 0, in: [AF_NETLINK], yes: { arg: 2, in: [NETLINK_ROUTE], yes: ALLOW, no: EPERM }, no: EPERM },
    },
  },
  socketpair: { arg: 0, in: [AF_UNIX], yes: ALLOW, no: EPERM },
  ioctl: { arg: 1, in: TERMINAL_IOCTLS, yes: EPERM, no: ALLOW },
  personality: { arg: 0, in: PERSONALITIES, yes: ALLOW, no: EPERM },
  // CLOSE_RANGE_UNSHARE would give a thread a table of its own.
  close_range: { arg: 2, any: CLOSE_RANGE_UNSHARE, yes: EPERM, no: ALLOW },
  prctl: { arg: 0, in: SET_DUMPABLE, yes: { arg: 1, in: [0], yes: EPERM, no: ALLOW }, no: ALLOW },
  setrlimit: { arg: 0, in: CORE, yes: DONE, no: ALLOW },
  prlimit64: { arg: 1, in: CORE, yes: anyPointer(2, DONE, ALLOW), no: ALLOW },
  chmod: unlessSetId(1),
  fchmod: unlessSetId(1),
  fchmodat: unlessSetId(2),
  fchmodat2: unlessSetId(2),
  open: unlessMadeSetId(1),
  openat: unlessMadeSetId(2),
  creat: unlessSetId(1),
  // Its mode lies in memory, where a filter cannot look: programs fall back to openat.
  openat2: ENOSYS,
  // Of a descriptor without a name; C libraries then go by /proc/self/fd, which can be put on record.
  execveat: { arg: 4, any: AT_EMPTY_PATH, yes: ENOSYS, no: ALLOW },
  mknod: unlessSetId(1),
  mknodat: unlessSetId(2),
};

/** The decision on each name; see {@link allowed}, {@link denied} and {@link conditional}. */
export function ruleTable(): ReadonlyMap<string, Decision> {
  const table = new Map<string, Decision>();
  for (const name of allowed) table.set(name, ALLOW);
  for (const name of denied) table.set(name, EPERM);
  for (const [name, decision] of Object.entries(conditional)) table.set(name, decision);
  return table;
}
