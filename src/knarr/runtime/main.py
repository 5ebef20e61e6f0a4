"""`knarr-runtime`: an OCI runtime as a command, with the command line of runc.

Whatever starts containers by calling runc or crun (containerd, Docker, Podman) can call this.
Errors go to stderr or, with --log, to a file in the form that those callers read; the exit status
is 1, for `exec` 255, otherwise that of the program.

A process of this kind lives for some milliseconds, so only what the one command needs is imported,
and at the end nothing is torn down: the kernel does that faster.
"""

from __future__ import annotations

import gc
import os
import sys

from knarr.errors import Failed, InvalidArgument, KnarrError, Unsupported
from knarr.runtime.command import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from knarr.runtime.command.arguments import Options


def main() -> NoReturn:
    """Run the command line and end the process."""
    gc.disable()  # a process this short has no garbage; looking for it costs a millisecond
    status = 1
    log = Log("", "text")
    try:
        given, rest = arguments.parse_options(sys.argv[1:], arguments.GLOBAL)
        if rest[:1] == ["exec"]:
            status = 255  # unless the program runs: 1 could be its own
        form = given.text("log-format", "text")
        log = Log(given.text("log"), form, debug=given.flag("debug"))
        log.command = "".join(rest[:1])
        status = run(given, rest, log)
    except KnarrError as error:
        if log.debug:
            log.note("debug", _trace(error))
        log.error(error)
    except OSError as error:
        log.error(Failed(_describe(error)))
    except KeyboardInterrupt:
        status = 130
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        status = 1
    os._exit(status)


def _trace(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 - only with --debug

    return "".join(traceback.format_exception(error)).rstrip()


def _describe(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{(error.strerror or str(error)).lower()}"


class Log:
    """Where errors, warnings and, with `debug`, the course of things are noted, in which form.

    Errors on stderr are for people; everything else has the form that readers of runc's log know.
    """

    def __init__(self, path: str, form: str, *, debug: bool = False) -> None:
        """Write to the file `path`, or to stderr if it is empty; `form` is text or json."""
        if form not in ("text", "json", ""):
            message = f"invalid log-format: {form}"
            raise InvalidArgument(message)
        self.debug = debug
        self.command = ""
        self._path = path
        self._form = form

    def error(self, error: KnarrError) -> None:
        """Say what went wrong, and what can be done."""
        if self._path or self._form == "json":
            self.note("error", f"{error.message}. {error.hint}" if error.hint else error.message)
        if self._path:
            sys.stderr.write(f"{error.message}\n")
        elif self._form != "json":
            from knarr.runtime.command import voice  # noqa: PLC0415 - when there is a complaint

            sys.stderr.write(f"{voice.complaint(error, self.command)}\n")

    def note(self, level: str, text: str) -> None:
        """Write one entry."""
        if level == "debug" and not self.debug:
            return
        import time  # noqa: PLC0415 - only when there is something to say

        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._form == "json":
            from knarr.util import jsontext  # noqa: PLC0415

            entry = {"level": level, "msg": text, "time": stamp}
            line = jsontext.dumps(entry)
        else:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            line = f'time="{stamp}" level={level} msg="{quoted}"'
        if not self._path:
            sys.stderr.write(f"{line}\n")
            return
        try:
            with open(self._path, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(f"{line}\n")
        except OSError as error:
            sys.stderr.write(f"knarr-runtime: {self._path}: {error.strerror}\n")


def run(given: Options, rest: list[str], log: Log) -> int:
    """Carry out what the command line says; return the exit status.

    Raises: KnarrError
    """
    if given.flag("version"):
        from knarr.runtime.command import voice  # noqa: PLC0415 - for this option alone

        sys.stdout.write(voice.version())
        return 0
    if given.flag("help") or not rest or rest[0] in ("help", "h"):
        from knarr.runtime.command import help_texts  # noqa: PLC0415 - for this command alone

        sys.stdout.write(help_texts.usage() + "\n")
        return 0
    name, *words = rest
    if words[:1] in (["-h"], ["--help"]):
        from knarr.runtime.command import help_texts  # noqa: PLC0415 - for this command alone

        sys.stdout.write(help_texts.usage_of(name) + "\n")
        return 0
    if name not in arguments.COMMANDS:
        if name in arguments.UNSUPPORTED:
            message = f"{name} is not supported: {arguments.UNSUPPORTED[name]}"
            raise Unsupported(message)
        message = f"unknown command {name}"
        raise InvalidArgument(message, hint="knarr-runtime --help lists the commands.")
    mixed = name not in arguments.UNMIXED
    options, found = arguments.parse_options(words, arguments.COMMANDS[name][0], mixed=mixed)
    options.note, options.debug = log.note, log.debug
    arguments.check_arguments(name, found)
    root = os.path.abspath(given.text("root", arguments.DEFAULT_ROOT))
    if root == "/":
        message = "option --root should not be set to /"
        raise InvalidArgument(message)
    if given.flag("systemd-cgroup"):
        options.add("systemd-cgroup", "true")
    return _carry_out(name, root, found, options)


def _carry_out(name: str, root: str, found: list[str], options: Options) -> int:
    if name in ("create", "start", "run", "delete"):
        return _bring(name, root, found[0], options)
    if name in ("exec", "kill", "pause", "resume", "update"):
        return _handle(name, root, found, options)
    _report(name, root, found, options)
    return 0


def _bring(name: str, root: str, container_id: str, options: Options) -> int:
    from knarr.runtime.command import creating  # noqa: PLC0415 - what the one command needs

    if name == "create":
        return creating.create_container(root, container_id, options)
    if name == "run":
        return creating.run_container(root, container_id, options)
    if name == "start":
        creating.start_container(root, container_id)
    else:
        creating.delete_container(root, container_id, force=options.flag("force"))
    return 0


def _handle(name: str, root: str, found: list[str], options: Options) -> int:
    from knarr.runtime.command import executing  # noqa: PLC0415 - what the one command needs

    if name == "exec":
        return executing.execute_in(root, found, options)
    if name == "kill":
        executing.kill_container(root, found, everyone=options.flag("all"))
    elif name == "pause":
        executing.pause(root, found[0])
    elif name == "resume":
        executing.resume(root, found[0])
    else:
        executing.update(root, found[0], options)
    return 0


def _report(name: str, root: str, found: list[str], options: Options) -> None:
    from knarr.runtime.command import reports  # noqa: PLC0415 - what the one command needs

    if name == "state":
        reports.show_state(root, found[0])
    elif name == "list":
        reports.show_list(root, options)
    elif name == "ps":
        reports.show_processes(root, found, options)
    elif name == "events":
        reports.show_events(root, found[0], options)
    elif name == "features":
        reports.show_features()
    else:
        reports.write_spec(options)


if __name__ == "__main__":
    main()
