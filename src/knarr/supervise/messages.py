"""What a supervisor and its clients say to each other, as data. No input, no output.

Two kinds of connection carry the same frames (`frames`):

* the *ordering* connection, one end of a socketpair, descriptor 3 of the supervisor. The engine
  sends one `Order` and steers the start by it; afterwards it serves as a client's connection that
  was there before the first byte of output.
* any number of *client* connections to `<control_dir>/sock`, mode 0600.

The `Order` is the first message and the only one that is not JSON: it is a tuple in the
interpreter's own `marshal` form, since both ends are the same interpreter, the socketpair cannot
be reached by anybody else, and a spec of 12 kB is decoded in 60 µs without importing anything.
Everything else is a frame: output and input as they are, and objects in JSON (stream CONTROL).

The ordering connection, in order:

    engine                       supervisor
    Order (and descriptors) ──▶
                            ◀──  {"event": "created", "pid": 4711}      waiting in its namespaces
    {"do": "start"}         ──▶                                         the network is up
                            ◀──  {"event": "started", "pid": 4711}
                            ◀──  {"event": "failed", "status": 127, "message": …, "hint": …}
                                 instead of created or started; the connection ends

Closing it before `start` takes the container back. Requests of clients, each answered by an object
with the same "n" and either "ok" or "error":

    {"do": "attach", "stdin": bool, "stdout": bool, "stderr": bool}      output follows as frames
    {"do": "resize", "height": h, "width": w, "exec": id or absent}
    {"do": "wait", "condition": "not-running" | "next-exit" | "removed"} answered when it is so
    {"do": "signal", "signal": number, "exec": id or absent}
    {"do": "stopping", "clean": bool}    the next exit is wanted: no restart. Answers "owner": true
                                 if who asks is to clean up after it, and to say `cleaned` then
    {"do": "own"}                the same offer, when the next exit is not wanted
    {"do": "state"}              answers with what task.json says
    {"do": "restarts", "policy": [name, maximum, minimum_s, maximum_s, reset_s, factor]}
    {"do": "limits", "resources": object of the spec}     of later runs; this one has them already
    {"do": "exec-create", "process": spec process, "terminal": bool, "stdin": bool, "about": …}
    {"do": "exec-start", "exec": id, "attach": bool, "height": h, "width": w}
    {"do": "exec-inspect", "exec": id or absent for all}
    {"do": "rename", "name": text}    for the events that follow
    {"do": "cleaned", "removed": bool}    from the owner, after `exited`

Events that an attached connection gets without asking:

    {"event": "exited", "exit_code": n, "oom_killed": bool, "error": text}   after all output
    {"event": "exec-exited", "exec": id, "exit_code": n}                     after all its output
    {"event": "skipped", "bytes": n}    the reader was too slow, so much of the output is missing
    {"event": "restarting", "exit_code": n, "delay": seconds}
    {"event": "removed"}
"""

from __future__ import annotations

import marshal

from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

# The first byte of a frame; Docker's numbers, its "system error" being our control stream.
STDIN = 0
STDOUT = 1
STDERR = 2
CONTROL = 3

# An exec's ID is random bytes and the beginning of its container's ID: 64 digits, as that has.
EXEC_BYTES = 20
EXEC_OWNER_DIGITS = 24

UNKNOWN_STATUS = 255  # of a container whose exit nobody could see


class RestartPolicy(Value):
    """When a container that exited is started again.

    `maximum_retries` is for `on-failure`, 0 meaning without end. The delay starts at
    `minimum_delay`, grows by `factor` with each start, stays below `maximum_delay`, and is
    forgotten when the container ran for `reset_after`.

    Docker: 100 ms, one minute, ten seconds
    """

    name: str = "no"
    maximum_retries: int = 0
    minimum_delay: float = 0.1
    maximum_delay: float = 60.0
    reset_after: float = 10.0
    factor: float = 2.0


class LogOptions(Value):
    """Where a container's output is kept.

    A file at `path` that has reached `max_size` bytes becomes `….1` and so on up to `max_file`
    files in all, those from `….2` on compressed with `compress`. Docker keeps one file without
    limit; knarr keeps three of ten megabytes, since full disks are what its users complain of most.
    `attributes` are written with every line (`docker logs --details`).

    Drivers that send messages elsewhere find what they need in `settings`, and keep a copy at
    `path` for `logs`, unless it is empty. With `nonblocking` the container never waits for its log;
    what waits instead is at most `buffer_size` bytes.
    """

    driver: str = "json-file"
    path: str = ""
    max_size: int = 10_000_000
    max_file: int = 3
    attributes: tuple[tuple[str, str], ...] = ()
    compress: bool = False
    nonblocking: bool = False
    buffer_size: int = 0
    settings: tuple[tuple[str, str], ...] = ()


class Health(Value):
    """How a container's health is looked after; times are in seconds.

    `test` is `("CMD", word, …)`, `("HTTP", url)` or `("TCP", port)`. `on_failure` says what is done
    with a container that has become unhealthy: none, stop, kill or restart; `stop_signal` and
    `stop_timeout` are for that. `timeout_words` is the timeout as it was written.
    """

    test: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    timeout_words: str = "30s"
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3
    on_failure: str = "none"
    stop_signal: int = 15
    stop_timeout: float = 10.0


class Adoption(Value):
    """A container that runs already and lost its supervisor."""

    pid: int
    pid_started: int


class Order(Value):
    """All that a supervisor has to know of its container.

    * `id`, and the engine's directories `root` and `run`, by which the clean-up process finds it;
    * `bundle_dir`: `<root>/containers/<id>`, where task.json is written;
    * `control_dir`: `<run>/containers/<id>`, which the supervisor makes, with its lock already
      held, so that nobody ever sees it unlocked while the container lives;
    * `spec`: the runtime spec; `rootfs`: options of the overlay that init mounts, None if the
      spec's root is a directory that is there;
    * `terminal` and its first size `window` (height, width);
    * `stdin`: stdin stays open for who attaches; `stdin_once`: until the first who attached to it
      leaves or closes it (`docker run -i`);
    * `attach`: to which of "stdin", "stdout", "stderr" the ordering connection is attached from
      the first byte on;
    * `about`: what events say of the container: its labels, image and name;
    * `volumes`: what events say of its volumes: name, destination, whether it is writable;
    * `timeout`: after how many seconds a run is killed, 0 for never;
    * `auto_remove`: the clean-up removes the container, so its exit need not survive a power cut;
    * `runtime`: path of another OCI runtime that is to run the container instead of our own;
    * `patience`: for how many seconds a client that does not read may hold up the output;
    * `owner`: who holds the ordering connection cleans up after the exit and says `cleaned`.
      Otherwise, or when the connection ends before it is said, a clean-up process is started;
    """

    id: str
    root: str
    run: str
    bundle_dir: str
    control_dir: str
    spec: dict[str, Any]
    rootfs: tuple[tuple[str, str], ...] | None = None
    terminal: bool = False
    window: tuple[int, int] | None = None
    stdin: bool = False
    stdin_once: bool = False
    attach: tuple[str, ...] = ()
    owner: bool = False
    log: LogOptions = LogOptions()
    restart: RestartPolicy = RestartPolicy()
    restart_count: int = 0
    adopt: Adoption | None = None
    auto_remove: bool = False
    runtime: str = ""
    patience: float = 30.0
    health: Health | None = None
    about: tuple[tuple[str, str], ...] = ()
    timeout: float = 0.0
    volumes: tuple[tuple[str, str, bool], ...] = ()

    def limit(self, resources: dict[str, Any]) -> None:
        """Let later runs have other limits; those that are not named stay as they are."""
        linux = self.spec["linux"]
        linux["resources"] = {**linux.get("resources", {}), **resources}

    def encode(self) -> bytes:
        """Return the order as bytes, for the supervisor that this interpreter starts."""
        return marshal.dumps(_plain(self))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the order in `data`."""
        fields = list(marshal.loads(data))  # noqa: S302 - from the engine that started us
        names = cls._fields
        for name, kind in _VALUES.items():
            position = names.index(name)
            if fields[position] is not None:
                fields[position] = kind(*fields[position])
        return cls(*fields)


_VALUES = {"log": LogOptions, "restart": RestartPolicy, "adopt": Adoption, "health": Health}


def _plain(value: Value) -> tuple[Any, ...]:
    """Return the fields of `value`, those of values in them likewise."""
    fields = (getattr(value, name) for name in type(value)._fields)
    return tuple(_plain(field) if isinstance(field, Value) else field for field in fields)
