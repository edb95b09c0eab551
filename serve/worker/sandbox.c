#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/sockios.h>

#include "base/error.h"

static const char *const refused[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "socketpair",
    "connect",
    "accept",
    "accept4",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "rt_sigqueueinfo",
    "tkill",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "bpf",
    "keyctl",
    "add_key",
    "request_key",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "perf_event_open",
    "unshare",
    "setns",
    "userfaultfd",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "name_to_handle_at",
    "open_by_handle_at",
    "fanotify_init",
    "mknod",
    "mknodat",
    "syslog",
    "vhangup",
    "personality",
    "modify_ldt",
    "lookup_dcookie",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    /* What lies with the kernel and not in files: others of the user have it, too. */
    "shmget",
    "shmat",
    "shmdt",
    "shmctl",
    "semget",
    "semop",
    "semtimedop",
    "semctl",
    "msgget",
    "msgsnd",
    "msgrcv",
    "msgctl",
    "mq_open",
    "mq_unlink",
    "mq_timedsend",
    "mq_timedreceive",
    "mq_notify",
    "mq_getsetattr",
    /* By name, whoever's file it is: Landlock does not look at these. Of an open file they stay. It looks at
       truncate from Linux 6.2 on. */
    "truncate",
    "utime",
    "utimes",
    "futimesat",
    "chmod",
    "fchmodat",
    "chown",
    "lchown",
    "fchownat",
    "setxattr",
    "lsetxattr",
    "removexattr",
    "lremovexattr",
};

static const char *const of_sockets[] = {"socket", "bind", "listen"};

/* Refused where an argument is, or is not, a value. Only the low 32 bits of a request or a command count for
   the kernel. */
#define LOW 0xffffffffU
#define IS(value) SCMP_CMP_MASKED_EQ, LOW, (scmp_datum_t)(value)
#define IS_NOT(value) SCMP_CMP_NE, (scmp_datum_t)(value), 0
/* Of a socket: the rest are flags. */
#define IS_OF_TYPE(type) SCMP_CMP_MASKED_EQ, 0xf, (scmp_datum_t)(type)

typedef struct condition {
    const char *name;
    unsigned argument;
    enum scmp_compare op;
    scmp_datum_t a, b;
} condition;

/* The driver's: whoever makes one can neither connect to another nor send without that. Its name is of no
   folder, for in none may a socket be made. */
static const condition other_sockets[] = {
    {"socket", 0, IS_NOT(AF_UNIX)},
    {"socket", 1, IS_OF_TYPE(SOCK_STREAM)},
    {"socket", 1, IS_OF_TYPE(SOCK_DGRAM)},
    {"socket", 1, IS_OF_TYPE(SOCK_RAW)}, /* of AF_UNIX another word for the one before */
};

static const condition refused_where[] = {
    /* Another process's limits, turn and memory. */
    {"prlimit64", 0, IS_NOT(0)},
    {"sched_setscheduler", 0, IS_NOT(0)},
    {"sched_setparam", 0, IS_NOT(0)},
    {"sched_setattr", 0, IS_NOT(0)},
    {"sched_setaffinity", 0, IS_NOT(0)},
    {"setpriority", 0, IS_NOT(PRIO_PROCESS)}, /* 0 of PRIO_USER is all that the user runs */
    {"setpriority", 1, IS_NOT(0)},
    {"ioprio_set", 0, IS_NOT(IOPRIO_WHO_PROCESS)},
    {"ioprio_set", 1, IS_NOT(0)},
    {"migrate_pages", 0, IS_NOT(0)},
    {"move_pages", 0, IS_NOT(0)},
    /* Typing into a terminal; signals to whoever a file is said to belong to. */
    {"ioctl", 1, IS(TIOCSTI)},
    {"ioctl", 1, IS(TIOCLINUX)},
    {"ioctl", 1, IS(TIOCSCTTY)},
    {"ioctl", 1, IS(FIOSETOWN)},
    {"ioctl", 1, IS(SIOCSPGRP)},
    {"fcntl", 1, IS(F_SETOWN)},
    {"fcntl", 1, IS(F_SETSIG)},
    {"fcntl", 1, IS(F_SETOWN_EX)},
    /* It ends with the server, which was set before. */
    {"prctl", 0, IS(PR_SET_PDEATHSIG)},
    /* Without a name it is of an open file. */
    {"utimensat", 1, IS_NOT(0)},
};

/* libseccomp rules on calls by the names that it knows, so newer ones are told by number: from 424 on these
   are the same everywhere, but for what an architecture adds to all of them. Above the newest that was looked
   at here there is nothing, which all libraries take for an older kernel. x32 lies there, too. */
#define LATER(number) ((unsigned)SYS_pidfd_send_signal - 424U + (number))
#define MOUNT_SETATTR LATER(442U)
#define QUOTACTL_FD LATER(443U)
#define PROCESS_MRELEASE LATER(448U)
#define NEWEST LATER(450U) /* set_mempolicy_home_node, of Linux 5.17 */

static int refuse_by_number(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NEWEST, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MOUNT_SETATTR, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, QUOTACTL_FD, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROCESS_MRELEASE, 2, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    const struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

/* `over` it the kernel kills; at it the kernel signals first. */
static int limit(int what, size_t most, size_t over) {
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)what, &r) != 0)
        return -1;
    if (r.rlim_max == RLIM_INFINITY || most + over < r.rlim_max)
        r.rlim_max = most + over;
    r.rlim_cur = most < r.rlim_max ? most : r.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &r);
}

static ms_status fail_limit(ms_error *err) {
    return ms_fail(err, MS_UNSUPPORTED, "a limit of the worker cannot be set: %s", strerror(errno));
}

/* Threads get the stack that the server's own has been given (ulimit -s), and all of it counts as memory that
   a worker has, though little is used. */
static int limit_stacks(void) {
    pthread_attr_t attributes;
    size_t bytes = 0;
    if (pthread_getattr_default_np(&attributes) != 0)
        return -1;
    int code = pthread_attr_getstacksize(&attributes, &bytes);
    if (code == 0 && bytes > SANDBOX_STACK_BYTES) {
        code = pthread_attr_setstacksize(&attributes, SANDBOX_STACK_BYTES);
        if (code == 0)
            code = pthread_setattr_default_np(&attributes);
    }
    pthread_attr_destroy(&attributes);
    errno = code;
    return code == 0 ? 0 : -1;
}

static ms_status set_limits(const sandbox_limits *l, ms_error *err) {
    const struct {
        int what;
        size_t most;
        bool wanted;
        size_t over;
    } all[] = {
        {RLIMIT_CORE, 0, true, 0},
        {RLIMIT_NOFILE, l->driver ? 1024 : 256, true, 0}, /* the driver has a dozen for each card there is */
        {RLIMIT_CPU, l->cpu_s, l->cpu_s > 0, 1},          /* SIGXCPU says why, SIGKILL would not */
        {RLIMIT_AS, l->address_bytes, l->address_bytes > 0, 0},
        {RLIMIT_FSIZE, l->file_bytes, l->file_bytes > 0, 0}};
    signal(SIGXFSZ, SIG_IGN); /* a file that would be too large is an error to write, not a death */
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].wanted && limit(all[i].what, all[i].most, all[i].over) != 0)
            return fail_limit(err);
    return limit_stacks() == 0 ? MS_OK : fail_limit(err);
}

ms_status sandbox_data(size_t bytes, ms_error *err) {
    return limit(RLIMIT_DATA, bytes, 0) == 0 ? MS_OK : fail_limit(err);
}

/* A name that libseccomp does not know is of another architecture, or refuse_by_number() has it. */
static int refuse(scmp_filter_ctx filter, const char *name, unsigned count,
                  const struct scmp_arg_cmp *where) {
    const int number = seccomp_syscall_resolve_name(name);
    const int code = number == __NR_SCMP_ERROR
                         ? 0
                         : seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EPERM), number, count, where);
    return code == -EDOM || code == -EINVAL ? 0 : code;
}

static int refuse_all(scmp_filter_ctx filter, const char *const *names, size_t count) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++)
        code = refuse(filter, names[i], 0, NULL);
    return code;
}

static int refuse_where(scmp_filter_ctx filter, const condition *conditions, size_t count) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        const condition *c = &conditions[i];
        const struct scmp_arg_cmp where = {c->argument, c->op, c->a, c->b};
        code = refuse(filter, c->name, 1, &where);
    }
    return code;
}

#define ALL(list) list, sizeof(list) / sizeof(list[0])

static int add_rules(scmp_filter_ctx filter, bool driver) {
    int code = refuse_all(filter, ALL(refused));
    if (code == 0)
        code = driver ? refuse_where(filter, ALL(other_sockets)) : refuse_all(filter, ALL(of_sockets));
    if (code == 0)
        code = refuse_where(filter, ALL(refused_where));
    if (code != 0)
        return code;
    /* Threads alone. Of clone3 the kernel cannot look at the flags: the C library takes clone in its
       place. */
    code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    int clone3 = seccomp_syscall_resolve_name("clone3");
    if (code == 0 && clone3 != __NR_SCMP_ERROR)
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), clone3, 0);
    /* Nobody else is signalled. */
    const char *const signals[] = {"kill", "tgkill", "rt_tgsigqueueinfo"};
    for (size_t i = 0; code == 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(signals[i]), 1,
                                SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
    return code;
}

/* What root has more than others goes, but for reading and writing its users' files: it could look into the
   server's memory. */
static void drop_rights(void) {
    const uint32_t kept =
        1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER | 1U << CAP_IPC_LOCK;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &head, data) != 0)
        return;
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        const uint32_t mask = i == 0 ? kept : 0;
        data[i].effective &= mask;
        data[i].permitted &= mask;
        data[i].inheritable = 0;
    }
    syscall(SYS_capset, &head, data); /* fewer are always allowed */
}

ms_status sandbox_enter(const sandbox_limits *limits, ms_error *err) {
    MS_TRY(set_limits(limits, err));
    /* Nobody of the same user looks into it either. What it has in /proc is root's then. */
    prctl(PR_SET_DUMPABLE, limits->driver ? 1 : 0, 0, 0, 0);
    drop_rights();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ms_fail(err, MS_UNSUPPORTED, "the kernel cannot give up privileges: %s", strerror(errno));
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the filter of system calls");
    int code = add_rules(filter, limits->driver);
    if (code == 0)
        code = seccomp_load(filter);
    seccomp_release(filter);
    if (code == 0)
        code = refuse_by_number();
    return code == 0 ? MS_OK
                     : ms_fail(err, MS_UNSUPPORTED, "the filter of system calls cannot be set: %s",
                               strerror(-code));
}
