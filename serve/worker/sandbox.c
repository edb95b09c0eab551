#include "worker/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"

static const char *const refused[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
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
    "mount_setattr",
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
};

static int limit(int what, size_t most) {
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)what, &r) != 0)
        return -1;
    if (r.rlim_max == RLIM_INFINITY || most < r.rlim_max)
        r.rlim_max = most;
    r.rlim_cur = r.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &r);
}

static ms_status set_limits(const sandbox_limits *l, ms_error *err) {
    const struct {
        int what;
        size_t most;
        bool wanted;
    } all[] = {{RLIMIT_CORE, 0, true},
               {RLIMIT_NOFILE, 256, true},
               {RLIMIT_CPU, l->cpu_s, l->cpu_s > 0},
               {RLIMIT_AS, l->address_bytes, l->address_bytes > 0},
               {RLIMIT_FSIZE, l->file_bytes, l->file_bytes > 0}};
    signal(SIGXFSZ, SIG_IGN); /* a file that would be too large is an error to write, not a death */
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (all[i].wanted && limit(all[i].what, all[i].most) != 0)
            return ms_fail(err, MS_UNSUPPORTED, "a limit of the worker cannot be set: %s", strerror(errno));
    return MS_OK;
}

/* Names that this kernel or libseccomp does not know do not count: nobody can call them here. */
static int add_rules(scmp_filter_ctx filter) {
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int number = seccomp_syscall_resolve_name(refused[i]);
        int code = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (code != 0 && code != -EDOM && code != -EINVAL)
            return code;
    }
    /* Threads alone. Of clone3 the kernel cannot look at the flags: the C library takes clone in its
       place. */
    int code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
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

ms_status sandbox_enter(const sandbox_limits *limits, ms_error *err) {
    MS_TRY(set_limits(limits, err));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ms_fail(err, MS_UNSUPPORTED, "the kernel cannot give up privileges: %s", strerror(errno));
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return ms_fail(err, MS_HOST_MEMORY, "out of memory for the filter of system calls");
    int code = add_rules(filter);
    if (code == 0)
        code = seccomp_load(filter);
    seccomp_release(filter);
    return code == 0 ? MS_OK
                     : ms_fail(err, MS_UNSUPPORTED, "the filter of system calls cannot be set: %s",
                               strerror(-code));
}
