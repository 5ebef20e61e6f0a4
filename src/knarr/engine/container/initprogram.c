/*
 * The first process of a container with `--init`: it runs the program, passes signals on to it,
 * waits for every process that ends, and ends as the program did.
 *
 *     /sbin/docker-init -- PROGRAM [ARGUMENT...]
 *
 * Everything is a system call; there is no C library. `initprogram.py` holds what this compiles to and
 * says how.
 */

typedef unsigned long u64;

#if defined(__x86_64__)
enum { SYS_write = 1, SYS_rt_sigprocmask = 14, SYS_ioctl = 16, SYS_execve = 59,
       SYS_wait4 = 61, SYS_kill = 62, SYS_setpgid = 109, SYS_rt_sigtimedwait = 128,
       SYS_exit_group = 231, SYS_clone = 56, SYS_getpid = 39 };
static long call(long n, long a, long b, long c, long d, long e)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start: xor %ebp,%ebp\n mov %rsp,%rdi\n and $-16,%rsp\n call run\n");
#elif defined(__aarch64__)
enum { SYS_ioctl = 29, SYS_write = 64, SYS_exit_group = 94, SYS_kill = 129,
       SYS_rt_sigprocmask = 135, SYS_rt_sigtimedwait = 137, SYS_setpgid = 154,
       SYS_clone = 220, SYS_execve = 221, SYS_wait4 = 260, SYS_getpid = 172 };
static long call(long n, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x29,#0\n mov x0,sp\n bl run\n");
#endif

enum { SIGCHLD = 17, SIGTTIN = 21, SIGTTOU = 22, SIG_SETMASK = 2, WNOHANG = 1, SIGNALS = 8,
       TIOCSPGRP = 0x5410, ENOENT = 2, EACCES = 13 };

static const char default_path[] = "/usr/local/bin:/bin:/usr/bin";

static u64 length(const char *text)
{
    u64 n = 0;
    while (text[n])
        n++;
    return n;
}

static void say(const char *text)
{
    call(SYS_write, 2, (long)text, length(text), 0, 0);
}

static const char *path_of(char **environment)
{
    for (; *environment; environment++) {
        const char *entry = *environment;
        if (entry[0] == 'P' && entry[1] == 'A' && entry[2] == 'T' && entry[3] == 'H'
            && entry[4] == '=')
            return entry + 5;
    }
    return default_path;
}

/* Do what execvp(3) does; return the errno of the attempt that tells most. */
static long execute(char **arguments, char **environment)
{
    char candidate[4096];
    const char *name = arguments[0], *path = path_of(environment);
    long worst = -ENOENT;
    for (const char *letter = name; *letter; letter++)
        if (*letter == '/')
            return call(SYS_execve, (long)name, (long)arguments, (long)environment, 0, 0);
    for (;;) {
        u64 n = 0, last = length(name);
        while (path[n] && path[n] != ':')
            n++;
        if (n + last + 2 <= sizeof candidate) {
            char *end = candidate;
            for (u64 i = 0; i < n; i++)
                *end++ = path[i];
            if (n)
                *end++ = '/';
            for (u64 i = 0; i <= last; i++)
                *end++ = name[i];
            long error = call(SYS_execve, (long)candidate, (long)arguments, (long)environment,
                              0, 0);
            if (error != -ENOENT && error != -20 /* ENOTDIR */)
                worst = error;
        }
        if (!path[n])
            return worst;
        path += n + 1;
    }
}

static void become(char **arguments, char **environment)
{
    u64 none = 0;
    int group;
    call(SYS_setpgid, 0, 0, 0, 0, 0);
    /* In a terminal the program is in the foreground. All signals are blocked, SIGTTOU too. */
    group = call(SYS_getpid, 0, 0, 0, 0, 0);
    call(SYS_ioctl, 0, TIOCSPGRP, (long)&group, 0, 0);
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, SIGNALS, 0);
    long error = execute(arguments, environment);
    say("exec: \"");
    say(arguments[0]);
    say(error == -EACCES ? "\": permission denied\n" :
        error == -ENOENT ? "\": no such file or directory\n" : "\": cannot be executed\n");
    call(SYS_exit_group, error == -ENOENT ? 127 : 126, 0, 0, 0, 0);
}

__attribute__((used, noreturn)) static void run(long *stack)
{
    long count = stack[0];
    char **arguments = (char **)(stack + 1);
    char **environment = arguments + count + 1;
    u64 all = ~0ul;
    int status = 0;
    long child;

    arguments++;
    if (count > 1 && arguments[0][0] == '-' && arguments[0][1] == '-' && !arguments[0][2])
        arguments++;
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, SIGNALS, 0);
    child = call(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        become(arguments, environment);
    for (;;) {
        long number = call(SYS_rt_sigtimedwait, (long)&all, 0, 0, SIGNALS, 0);
        if (number == SIGCHLD) {
            long ended;
            while ((ended = call(SYS_wait4, -1, (long)&status, WNOHANG, 0, 0)) > 0)
                if (ended == child)
                    call(SYS_exit_group,
                         status & 0x7f ? 128 + (status & 0x7f) : (status >> 8) & 0xff,
                         0, 0, 0, 0);
        } else if (number > 0 && number != SIGTTIN && number != SIGTTOU) {
            call(SYS_kill, child, number, 0, 0, 0);
        }
    }
}
