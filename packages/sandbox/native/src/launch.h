/* What the three processes of one launch share: state, the messages between them, and how a failure is told. */
#ifndef OPENSHELL_LAUNCH_H
#define OPENSHELL_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

enum {
  FD_CONTROL = 3, /* stream socket: plan and commands come in, records go out */
  FD_CHANNEL = 4, /* Node's IPC channel: takes the listening sockets */
  EXIT_REFUSED = 125,
};

/* Messages between the processes: one SOCK_SEQPACKET datagram each, some with a descriptor. */
enum message_kind {
  MESSAGE_MAPPED = 1, /* outer -> init: your ids are mapped */
  MESSAGE_SOCKET,     /* init -> outer, descriptor: for Node; `step` says which */
  MESSAGE_LOG,        /* init -> outer, descriptor: the NFLOG socket */
  MESSAGE_PTY,        /* init -> outer, descriptor: the master of the sandbox's terminal */
  MESSAGE_LISTENER,   /* command -> outer, descriptor: seccomp notifications */
  MESSAGE_READY,      /* init, command -> outer: nothing is left to do but to wait */
  MESSAGE_GO,         /* outer -> command */
  MESSAGE_SIGNAL,     /* outer -> init: `value` is a signal for the command */
  MESSAGE_FAILED,     /* `value` is errno */
  MESSAGE_EXIT,       /* init -> outer: `value` is the command's exit code, 128+signal */
};

struct message {
  uint32_t kind;
  int32_t value;
  int32_t step;
  char text[500];
};

struct launch {
  struct plan plan;
  enum place place;
  uint32_t step;            /* index of the step being carried out */
  int slots[PLAN_MAX_SLOTS];
  int init_socket;          /* this process's end of the line between outer and init */
  int command_socket;       /* this process's end of the line between outer and command */
  int root;                 /* the new root, O_PATH */
  int ruleset;              /* Landlock rule set under construction */
  int pty;                  /* the sandbox's terminal, or -1: its master in outer, its slave inside */
  bool terminal[3];         /* which of 0-2 are the operator's terminal */
  pid_t init;
  int init_pidfd;
  mode_t umask;
};
extern struct launch launch;

/* Reports the running step, `what` and errno to the supervisor, then exits with 125. */
_Noreturn void fail(const char *what, const char *path);

void message_send(int socket, enum message_kind kind, int value, const char *text, int fd);
/* False at end of stream. `fd` receives the descriptor that came along, or -1. */
bool message_receive(int socket, struct message *message, int *fd);

/* Carries out steps until one of them ends this process. */
_Noreturn void run_steps(void);

/* mounts.c */
int inner_open(const char *path, int flags);
void step_idmap(const struct step *step);
void step_tree(const struct step *step);
void step_root(const struct step *step);
void step_directory(const struct step *step);
void step_symlink(const struct step *step);
void step_file(const struct step *step);
void step_write(const struct step *step);
void step_mount(const struct step *step);
void step_attach(const struct step *step);
void step_attributes(const struct step *step);
void step_pivot(const struct step *step);

/* network.c */
void step_netlink(const struct step *step);
void step_socket(const struct step *step);

/* processes.c */
void step_enter(const struct step *step);
void step_finish(const struct step *step);
void step_spawn(const struct step *step);

/* seal.c */
void step_rlimit(const struct step *step);
void step_no_new_privileges(const struct step *step);
void step_capabilities(const struct step *step);
void step_landlock(const struct step *step);
void step_landlock_path(const struct step *step);
void step_landlock_seal(const struct step *step);
void step_seccomp(const struct step *step);
void step_chdir(const struct step *step);
void step_exec(const struct step *step);
void drop_capabilities(void);
void clear_capabilities(void);

/* terminal.c */
void step_terminal(const struct step *step);
void terminal_detect(void);
void terminal_adopt(void);
void terminal_open(void);
void terminal_resize(void);
void terminal_restore(void);
/* Relays between the operator's terminal and the sandbox's. */
enum { TERMINAL_POLLS = 3 };
struct pollfd;
void terminal_poll(struct pollfd *set);
void terminal_relay(const struct pollfd *set);
bool terminal_busy(void);
void null_descriptors(bool keep_terminal);

/* outer.c */
int outer_main(pid_t supervisor);
_Noreturn void outer_loop(void);
_Noreturn void outer_failed(int step, int error, const char *text);

/* monitor.c: reads notified system calls of the sandbox, outside of it */
void monitor_use(const struct step *step);
/* Takes one notification and puts its record into the record buffer. False when there was none after all. */
/* False when there was no call to take. `starts`: it starts a program. */
bool monitor_take(int listener, uint64_t *id, bool *starts);
void monitor_continue(int listener, uint64_t id);

/* records.c: what goes to the supervisor; one record at a time, never more than fits the buffer */
enum record_kind {
  RECORD_READY = 1, /* i32 pid of init */
  RECORD_FAILED,    /* i32 step, i32 errno, text */
  RECORD_CALL,      /* a notified system call: see monitor.c */
  RECORD_DATAGRAM,  /* netlink bytes of NFLOG */
  RECORD_LOST,      /* the kernel dropped NFLOG messages */
  RECORD_EXIT,      /* i32 exit code */
  RECORD_START,     /* like RECORD_CALL, of a program started: waits for 'W', written */
};
void record_begin(enum record_kind kind);
void record_u32(uint32_t value);
void record_u64(uint64_t value);
void record_bytes(const void *bytes, uint32_t length);
void record_end(void);
bool record_pending(void);
/* Sends what the socket takes now. False when the supervisor is gone. */
bool record_flush(void);
/* Waits until all is sent or the supervisor is gone. */
void record_drain(void);

/* probe.c */
int probe(void);

#endif
