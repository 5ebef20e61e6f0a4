"""Why a container could not be started or made: by what was said, and by what its files show."""

from __future__ import annotations

from knarr.engine.explaining import facts as kinds
from knarr.engine.explaining.rules import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.engine.explaining.facts import Facts

_PORT = r"(?:bind for|host port for) (?P<where>\S+):(?P<port>\d+)\S* ?.*"


def _kind(wanted: str, **fields: object) -> Callable[[Facts], bool]:
    def holds(facts: Facts) -> bool:
        program = facts.program
        return program.kind == wanted and all(
            getattr(program, name) == value for name, value in fields.items()
        )

    return holds


def _missing(condition: Callable[[str], bool]) -> Callable[[Facts], bool]:
    return lambda f: f.program.kind == kinds.MISSING and condition(f.program.name)


def _loader(loader: str, library: str) -> Callable[[Facts], bool]:
    """Tell whether the missing loader is of one C library and the image has the other."""

    def holds(facts: Facts) -> bool:
        program = facts.program
        named = kinds.MUSL if "ld-musl" in program.loader else kinds.GLIBC
        return (
            program.kind == kinds.ELF
            and program.helper_missing
            and (named, program.library) == (loader, library)
        )

    return holds


PROGRAM_RULES = (
    Rule(
        "command-in-one-word",
        "program and arguments were given as one word",
        'The whole text "{f.program.name}" was taken for the name of one program.',
        "Write program and arguments as words of their own, or have a shell run it: sh -c '…'.",
        when=_missing(lambda name: " " in name.strip()),
        aloud=True,
    ),
    Rule(
        "option-as-program",
        "an option stands behind the image's name",
        '"{f.program.name}" was taken for the program to run, since it stands behind the image.',
        "Options of knarr stand before the image: knarr run {f.program.name} … {f.image}.",
        when=_missing(lambda name: name.startswith("-")),
        aloud=True,
    ),
    Rule(
        "program-misspelt",
        "the program does not exist, one with a similar name does",
        'There is no program "{f.program.name}" in {f.reference}; looked for in {f.path_words}.',
        "Did you mean {f.others}?",
        when=lambda f: f.program.kind == kinds.MISSING and bool(f.program.similar),
        aloud=True,
    ),
    Rule(
        "program-missing",
        "the program is nowhere in PATH",
        'There is no program "{f.program.name}" in {f.reference}; looked for in {f.path_words}.',
        "Name one that is there, install it when the image is built, or give its whole path.",
        when=_missing(lambda name: "/" not in name),
        aloud=True,
    ),
    Rule(
        "program-file-missing",
        "the program is named by a path at which nothing is",
        "There is no file {f.program.path} in {f.reference}.",
        "See where the file is: knarr export {f.name} | tar -t; a mount may hide it.",
        when=_kind(kinds.MISSING),
        aloud=True,
    ),
    Rule(
        "program-is-a-directory",
        "the program is a directory",
        "{f.program.path} is a directory, which cannot be executed.",
        "Name the program in it.",
        when=_kind(kinds.DIRECTORY),
        aloud=True,
    ),
    Rule(
        "file-system-noexec",
        "the program is on a file system mounted noexec",
        "{f.program.path} is on a file system that is mounted noexec.",
        "Mount it on the host without noexec, put the program elsewhere, or name its interpreter.",
        when=lambda f: f.program.noexec,
        aloud=True,
    ),
    Rule(
        "program-not-executable",
        "the program's file has no execute permission",
        "{f.program.path} is there, but nobody has the permission to execute it.",
        "Give it one: chmod +x on the host, or COPY --chmod=755 in the Dockerfile.",
        when=_kind(kinds.NO_BIT),
        aloud=True,
    ),
    Rule(
        "program-not-for-user",
        "the user may not execute the program",
        "User {f.user_words} may not execute {f.program.path}, a file {f.owner_words}.",
        "Run it as another user with --user, or make the file everybody's: chmod 755.",
        when=_kind(kinds.DENIED),
        aloud=True,
    ),
    Rule(
        "script-with-windows-line-ends",
        "the script has CRLF line ends",
        "{f.program.path} has Windows line ends (CRLF), so that the kernel looks for an"
        ' interpreter "{f.program.interpreter}\\r".',
        "Convert it with dos2unix or sed -i 's/\\r$//'; in git, .gitattributes with eol=lf keeps"
        " it so.",
        when=_kind(kinds.SCRIPT, carriage_return=True),
        aloud=True,
    ),
    Rule(
        "interpreter-missing",
        "the script's interpreter is not in the image",
        "The interpreter {f.program.interpreter}, named in the first line of {f.program.path}, is"
        " not in {f.reference}.",
        "Begin the script with an interpreter that is there (often #!/bin/sh), or install it.",
        when=_kind(kinds.SCRIPT, helper_missing=True),
        aloud=True,
    ),
    Rule(
        "other-architecture",
        "the program was built for another processor",
        "{f.program.path} is a program for {f.program.machine}, and this machine is"
        " {f.host_platform} and has no emulator registered for that.",
        "Get or build it for this machine (--platform {f.host_platform}), or register an emulator"
        " such as qemu-user-static in binfmt_misc.",
        when=lambda f: f.program.kind == kinds.ELF and bool(f.program.machine),
        aloud=True,
    ),
    Rule(
        "glibc-program-on-musl",
        "the program needs glibc, the image has musl",
        "{f.program.path} was built for the C library glibc and needs its loader"
        " {f.program.loader}, but {f.reference} has musl (as Alpine).",
        "Use an image with glibc (Debian, Ubuntu, Fedora), or build it statically or for musl.",
        when=_loader(kinds.GLIBC, kinds.MUSL),
        aloud=True,
    ),
    Rule(
        "musl-program-on-glibc",
        "the program needs musl, the image has glibc",
        "{f.program.path} was built for the C library musl and needs its loader"
        " {f.program.loader}, but {f.reference} has glibc.",
        "Use an image with musl (Alpine), install the package musl, or build it statically.",
        when=_loader(kinds.MUSL, kinds.GLIBC),
        aloud=True,
    ),
    Rule(
        "loader-missing",
        "the program's loader is not in the image",
        "{f.program.path} needs the loader {f.program.loader}, which is not in {f.reference}.",
        "Build it statically, or use a base image with that C library (a package like libc6).",
        when=_kind(kinds.ELF, helper_missing=True),
        aloud=True,
    ),
    Rule(
        "program-empty",
        "the program's file is empty",
        "{f.program.path} is an empty file.",
        "See what happened when it was copied or downloaded.",
        when=_kind(kinds.EMPTY),
        aloud=True,
    ),
    Rule(
        "script-without-interpreter",
        "the script has no first line with an interpreter",
        "{f.program.path} is text whose first line names no interpreter.",
        "Let its first line be #!/bin/sh, or have a shell run it.",
        when=_kind(kinds.TEXT),
        aloud=True,
    ),
    Rule(
        "not-a-program",
        "the file is of no format that the kernel executes",
        "{f.program.path} is of no format that this kernel can execute.",
        "Name the program that reads such files.",
        when=lambda f: f.program.kind == kinds.DATA and "format error" in f.error,
        aloud=True,
    ),
)

ERROR_RULES = (
    Rule(
        "port-taken-by-container",
        "the host's port belongs to another container",
        "Port {port} of the host belongs to {f.holder}.",
        "Publish another one, -p OTHER:PORT, or stop that container.",
        when=lambda f: f.holder.startswith("the container"),
        error=_PORT + "already (?:allocated|in use)",
        aloud=True,
    ),
    Rule(
        "port-in-use",
        "the host's port is used by another program",
        "Port {port} of the host is in use by {f.holder}.",
        "Publish another one, -p OTHER:PORT, or stop that program.",
        when=lambda f: bool(f.holder),
        error=_PORT + "already (?:allocated|in use)",
        aloud=True,
    ),
    Rule(
        "port-was-in-use",
        "the host's port was in use when the container was started",
        "Port {port} of the host was in use when it was started, and is free now.",
        "Start it again: knarr start {f.name}",
        error=_PORT + "already (?:allocated|in use)",
    ),
    Rule(
        "mount-source-missing",
        "the directory to be mounted is not on the host",
        "{path}, which was to be mounted, was not there on the host.",
        "Make it, or use -v instead of --mount, which makes a directory.",
        error=r"bind source path does not exist: (?P<path>.*)$",
        aloud=True,
    ),
    Rule(
        "file-and-directory",
        "a file is mounted on a directory, or the other way round",
        "{source} cannot be mounted at {target}: one of them is a file and the other a directory.",
        "See what {source} is: a missing file may have become a directory by an earlier -v.",
        error=r"mounting \w+ (?P<source>/.*) at (?P<target>/[^:]*): (?:not a directory|invalid"
        r" argument|is a directory)",
        aloud=True,
    ),
    Rule(
        "user-unknown",
        "the image does not know the user or group",
        "There is no {what} {user} in the {file} file of {f.reference}.",
        "Give a number (--user 1000), or add the {what} when the image is built.",
        error=r"unable to find (?P<what>user|group) (?P<user>[^:]+): no matching entries in"
        r" (?P<file>\w+)",
        aloud=True,
    ),
    Rule(
        "working-directory",
        "the working directory cannot be entered",
        "The working directory {path} cannot be entered: {reason}.",
        "Give another one with --workdir, or let the user reach it.",
        error=r'(?:chdir to cwd \(")(?P<path>[^"]*)".*failed: (?P<reason>.*)$',
        aloud=True,
    ),
    Rule(
        "network-missing",
        "the network does not exist, or not any more",
        "There was no network {network} when it was started.",
        "Make it: knarr network create {network}",
        error=r"^network (?P<network>\S+) not found",
        aloud=True,
    ),
    Rule(
        "device-missing",
        "the device is not on the host",
        "The device {device} was not there on the host.",
        "See whether its driver is loaded, or leave --device out.",
        error=r'custom device "(?P<device>[^"]*)": no such file',
        aloud=True,
    ),
    Rule(
        "neighbour-missing",
        "the container whose namespaces are to be shared is not there",
        "It was to share namespaces with the container {other}, which did not run.",
        "Start that one first: knarr start {other}",
        error=r"^cannot join .* of a non running container: (?P<other>\S+)",
        aloud=True,
    ),
    Rule(
        "memory-too-small",
        "the memory limit is too low for a process to begin",
        "Its memory limit of {f.limit_words} is too low even for a process to begin.",
        "Give it more: -m {f.more_memory}",
        when=lambda f: bool(f.memory_limit),
        error=r"init was killed before it was ready",
        aloud=True,
    ),
    Rule(
        "could-not-start",
        "anything else that kept it from starting",
        "It could not be started: {f.error}.",
        when=lambda f: bool(f.error),
    ),
)

# What keeps `run` and `create` from making a container: there is none to be explained later.
REFUSAL_RULES = (
    Rule(
        "name-in-use",
        "the name belongs to another container",
        "The name {name} belongs to the container {other}.",
        "Choose another name, remove that one with knarr rm {name}, or have it replaced:"
        " --replace.",
        error=r'container name "/(?P<name>[^"]+)" is already in use by container'
        r' "?(?P<other>[0-9a-f]{12})',
        aloud=True,
    ),
    Rule(
        "no-command",
        "neither the image nor the command line names a program",
        "The image has no command of its own, and none was given.",
        "Name one behind the image: knarr run IMAGE COMMAND.",
        error=r"^no command specified",
        aloud=True,
    ),
    Rule(
        "working-directory-is-a-file",
        "the image has a file where the working directory is to be",
        "The working directory {path} cannot be one, since the image has a file there.",
        "Give another one with --workdir.",
        error=r"^cannot mkdir: (?P<path>.*) is not a directory$",
        aloud=True,
    ),
    Rule(
        "memory-below-minimum",
        "the memory limit is below what the kernel allows for",
        "A memory limit below {minimum} leaves no room for any program.",
        "Limits are in bytes unless a unit follows: -m 512m, not -m 512.",
        error=r"^minimum memory limit allowed is (?P<minimum>\w+)",
        aloud=True,
    ),
)


def rules_for(facts: Facts) -> tuple[Rule, ...]:
    """Return the rules for a start that failed: what was said, and if a program was run, its file.

    What files show comes after what was said for certain: a program may be missing that was never
    looked for.
    """
    if facts.unexecuted:
        return (*ERROR_RULES[:-1], *PROGRAM_RULES, ERROR_RULES[-1])
    return ERROR_RULES
