"""What the last lines of a log say, and what that means in a container.

Only what has to do with the container is explained: what a program says of itself needs no other
words. A rule is certain where facts show the same as the line does.
"""

from __future__ import annotations

from knarr.engine.explaining.rules import Rule

_DENIED = r"permission denied|EACCES"
_NO_NAME = (
    r"could not resolve host|bad address '|name or service not known|temporary failure in name"
    r" resolution|no such host|name does not resolve|ENOTFOUND|EAI_AGAIN"
)
_NO_FORK = r"can'?t fork|cannot fork|fork: retry|fork failed|unable to create .*thread"

LOG_RULES = (
    Rule(
        "read-only-mount",
        "it wrote to a mount that is read-only",
        "It could not write to {f.readonly_bind.target}, which is mounted read-only from"
        " {f.readonly_bind.source}.",
        "Leave :ro out, or let it write elsewhere.",
        when=lambda f: f.readonly_bind is not None,
        log=r"read-only file system|EROFS",
    ),
    Rule(
        "read-only-root",
        "it wrote to the root, which is read-only",
        "It could not write, because its root file system is read-only (--read-only).",
        "Give it a place to write, as --tmpfs /tmp or -v NAME:/data, or leave --read-only out.",
        when=lambda f: f.readonly and not any(p in f.last_line for p in ("/proc/", "/sys/")),
        log=r"read-only file system|EROFS",
    ),
    Rule(
        "read-only-files",
        "it wrote to a read-only file system",
        "It most likely ended because it could not write to a read-only file system:"
        ' "{f.last_line}".',
        "Give it a place to write: --tmpfs or a volume.",
        log=r"read-only file system|EROFS",
        certain=False,
    ),
    Rule(
        "disk-full",
        "the disk is full",
        "It could not write, because the disk is full: {f.full[0]} has no space left.",
        "See what takes it: knarr system df; remove what nobody needs: knarr system prune.",
        when=lambda f: bool(f.full),
        log=r"no space left on device|ENOSPC",
    ),
    Rule(
        "disk-was-full",
        "the disk was full, or a tmpfs or quota was",
        "It most likely ended because there was no space where it wrote, which may be a tmpfs of"
        " its own.",
        "See knarr system df, and the size of its --tmpfs and --shm-size.",
        log=r"no space left on device|ENOSPC",
        certain=False,
    ),
    Rule(
        "process-limit",
        "it met its limit of processes",
        'It most likely met its limit of {f.pids_limit} processes: "{f.last_line}".',
        "Allow more: --pids-limit.",
        when=lambda f: f.pids_limit > 0,
        log=_NO_FORK + r"|pthread_create.*unavailable|resource temporarily unavailable",
        certain=False,
    ),
    Rule(
        "no-more-processes",
        "it could not start another process",
        'It most likely could not start another process or thread: "{f.last_line}".',
        "See --ulimit nproc, and kernel.threads-max and kernel.pid_max of the host.",
        log=_NO_FORK,
        certain=False,
    ),
    Rule(
        "open-files-limit",
        "it met its limit of open files",
        'It most likely met its limit of open files: "{f.last_line}".',
        "Allow more: --ulimit nofile=65536:65536.",
        log=r"too many open files|EMFILE",
        certain=False,
    ),
    Rule(
        "low-port",
        "a user other than root opened a port below 1024",
        "As user {f.user_words} it most likely may not listen on a port that low: "
        '"{f.last_line}".',
        "Let it listen on a higher one and publish that: -p 80:8080.",
        when=lambda f: f.unprivileged,
        log=r"(?:bind|listen)[^\n]*(?:permission denied|EACCES)",
        certain=False,
    ),
    Rule(
        "mount-denied",
        "the user may not use what is mounted from the host",
        "As user {f.user_words} it was denied {f.denied_bind.target}, which is"
        " {f.denied_bind.source} of the host and belongs to user {f.denied_bind.owner[0]} with mode"
        " {f.denied_bind.mode:04o}.",
        "Run it as that user, --user {f.denied_bind.owner[0]}:{f.denied_bind.owner[1]}, or chown"
        " the directory to {f.numbers[0]} on the host; with --userns keep the mapping in mind.",
        when=lambda f: f.denied_bind is not None and f.unprivileged,
        log=_DENIED,
    ),
    Rule(
        "denied",
        "the user may not use a file",
        'As user {f.user_words} it was most likely denied a file: "{f.last_line}".',
        "Make it that user's: COPY --chown in the Dockerfile, or --user.",
        when=lambda f: f.unprivileged,
        log=_DENIED,
        certain=False,
    ),
    Rule(
        "not-permitted",
        "it did what containers may not do",
        'It most likely did what containers may not do: "{f.last_line}".',
        "If it must, give it that one capability with --cap-add; see docs on --privileged.",
        log=r"operation not permitted|EPERM",
        certain=False,
    ),
    Rule(
        "address-in-use-on-host",
        "it shares the host's network, where its port is taken",
        "It shares the host's network (--network host), and there the address it wants to listen"
        " at is in use.",
        "Look for who has it with ss -ltnp, or give the container a network of its own.",
        when=lambda f: f.network == "host",
        log=r"address (?:is )?already in use|EADDRINUSE",
    ),
    Rule(
        "address-in-use-inside",
        "two programs in the container want the same port",
        "It most likely could not listen, because another process in the same container does so"
        ' at that address: "{f.last_line}".',
        "Look for a second server in the image's start script; nobody outside the container can"
        " be in the way.",
        log=r"address (?:is )?already in use|EADDRINUSE",
        certain=False,
    ),
    Rule(
        "library-missing",
        "a shared library is not in the image",
        "{program} needs the shared library {library}, and its loader found none in {f.reference}.",
        "Install the package that has it when the image is built, or copy it along.",
        log=r"^(?P<program>[^\n:]+): error while loading shared libraries: (?P<library>[^\s:]+):"
        r" cannot open",
    ),
    Rule(
        "library-missing-musl",
        "a shared library is not in an image with musl",
        "{program} needs the shared library {library}, and its loader found none in {f.reference}.",
        "Install the package that has it when the image is built, or copy it along.",
        log=r"^error loading shared library (?P<library>[^\s:]+): no such file[^\n]*"
        r"needed by (?P<program>[^\s)]+)",
    ),
    Rule(
        "libc-too-old",
        "the program was built for a newer glibc",
        "The program was built for a newer C library ({version}) than {f.reference} has.",
        "Build it on the base image that it is to run on, or use a newer one.",
        log=r"version [`'](?P<version>GLIBC_[\d.]+)' not found",
    ),
    Rule(
        "other-architecture-inside",
        "it ran a program for another processor",
        'It most likely ran a program for another processor: "{f.last_line}".',
        "Get or build it for {f.host_platform}.",
        log=r"exec format error",
        certain=False,
    ),
    Rule(
        "names-without-network",
        "it looks names up and has no network",
        "It could not look names up, because it has no network (--network none).",
        "Leave --network none out, or give it a network: --network bridge.",
        when=lambda f: f.network == "none",
        log=_NO_NAME,
    ),
    Rule(
        "no-network",
        "it talks to others and has no network",
        "It could not reach anybody, because it has no network (--network none).",
        "Leave --network none out, or give it a network: --network bridge.",
        when=lambda f: f.network == "none",
        log=r"network (?:is )?unreachable|ENETUNREACH",
    ),
    Rule(
        "name-unknown",
        "it could not look up a host's name",
        'It most likely could not find a host by its name: "{f.last_line}".',
        "Containers find each other by name in a network that was made: knarr network create; see"
        " --dns too.",
        log=_NO_NAME,
        certain=False,
    ),
    Rule(
        "program-missing-inside",
        "a script in it calls a program that is not there",
        "{f.base} could not find the program {program}, and ended with status 127.",
        "Install it when the image is built, or set PATH.",
        when=lambda f: f.exit_code == 127,
        log=r"(?:^|[\s:])(?P<program>[\w./+@-]+): (?:command )?not found$",
    ),
    Rule(
        "not-found-inside",
        "status 127 without such words",
        "{f.base} ended with status 127, with which shells most likely mean that a program does"
        " not exist.",
        "See its log: knarr logs {f.name}",
        when=lambda f: f.exit_code == 127,
        certain=False,
    ),
    Rule(
        "not-executable-inside",
        "status 126",
        "{f.base} ended with status 126, with which shells most likely mean that a file cannot be"
        ' executed: "{f.last_line}".',
        "See the permissions and the first line of the script that it runs.",
        when=lambda f: f.exit_code == 126,
        certain=False,
    ),
    Rule(
        "mount-empty",
        "it misses a file where an empty directory is mounted",
        "It most likely misses a file below {f.empty_bind.target}, where the directory"
        " {f.empty_bind.source} of the host is mounted, which is empty.",
        "See that the host's directory is the right one: it hides what the image has there.",
        when=lambda f: f.empty_bind is not None,
        log=r"no such file or directory|ENOENT|cannot find|not found",
        certain=False,
    ),
)  # fmt: skip
