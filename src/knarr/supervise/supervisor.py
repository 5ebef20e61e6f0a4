"""The supervisor: the one process that looks after a container from its creation to its clean-up.

What it does, by phase. Each phase ends with an event, and may be ended by SIGKILL at any point; the
last columns say what is found then and what the next knarr command makes of it.

| phase      | does                                   | task.json      | process         | found  |
|------------|----------------------------------------|----------------|-----------------|--------|
| ordering   | waits for the order                    | the last run's | none            | a      |
| creating   | run directory, FIFOs, namespaces       | the last run's | ends by itself  | b      |
| created    | waits for `start`                      | created        | ends by itself  | b      |
| running    | output, clients, execs                 | running        | lives           | c      |
| draining   | delivers what the process left         | running        | has ended       | d      |
| restarting | waits for the delay                    | restarting     | none            | e      |
| exited     | has told everybody; waits for `cleaned`| exited         | none            | f      |
| leaving    | waits for slow readers                 | exited         | none            | –      |

a  Nothing. The engine's journal has what it did itself.
b  A run directory whose lock is free, and no living process: init ends when it reads the end of its
   channel. Recovery removes the directory and what the engine prepared (network).
c  A run directory whose lock is free, and a process that is alive as task.json says: adopt it
   (`Order.adopt`). It kept running; its output waits in the FIFOs, its terminal with the keeper.
d  As c, without the process: nobody knows how it ended. Recovery records the exit as unknown and
   cleans up. Of the output, what was still in the pipes is lost.
e  A free lock, no process: recovery starts the container, or records it as exited.
f  A free lock, no process, the exit recorded: recovery cleans up, which may be done twice.

In every case the lock alone says whether a supervisor lives; the process's ID with its start time
and the boot ID say whether the container does.

Who cleans up after the exit (network, removal): the client that holds the ordering connection, if
the order says that it is the `owner`, or else the first that asks for it when it says `stopping`,
because it is a warm process that waits anyway. If it dies, or does not answer for as long as a slow
reader is waited for, or if there is none, a process of the engine is started for it (`cleaner`).
Both may do it; it is idempotent.
"""

from __future__ import annotations

import os
import time

from knarr.errors import CommandFailed, Conflict, Failed, KnarrError
from knarr.supervise import cleaner, places, task
from knarr.supervise.audience import Audience
from knarr.supervise.logs import open_log
from knarr.supervise.messages import STDERR, STDOUT
from knarr.supervise.requests import Requests, describe
from knarr.supervise.restarts import Restarts
from knarr.supervise.runs import Kept, make_run
from knarr.supervise.sessions import Sessions
from knarr.supervise.streams import Streams
from knarr.util import eventlog
from knarr.util.trace import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.supervise.health.monitor import Monitor
    from knarr.supervise.loop import Loop, Timer
    from knarr.supervise.messages import Order
    from knarr.supervise.names.resolver import Names
    from knarr.supervise.peers import Peer

ORDERING, CREATED, RUNNING, DRAINING, RESTARTING, EXITED, LEAVING = range(7)
FAILED_STATUS = 128  # Docker's exit code of a container that could not be started


class Supervisor:
    """One container's life, as a chain of callbacks of the loop."""

    def __init__(self, loop: Loop, order: Order) -> None:
        self.order = order
        self.phase = ORDERING
        self.task = task.Task(order.bundle_dir)
        self.about = dict(order.about)
        self.restarts = Restarts(order.restart, count=order.restart_count)
        self.log = open_log(order.log, loop)
        self.streams = Streams(loop, patience=order.patience, log=self.log)
        self.sessions = Sessions(loop, order, self.note)
        self.requests = Requests(self)
        self._loop = loop
        self._run = make_run(loop, order, self.streams)
        self._lock = -1
        self._kept = Kept()
        self._audience = Audience(loop, self.requests, self.streams)
        self._next_start: Timer | None = None
        self._cleaner = 0
        self._uses_volumes = order.adopt is not None
        self._health = self._monitor()
        self._names: Names | None = None

    def note(self, action: str, **more: str) -> None:
        """Note an event of the container."""
        order = self.order
        eventlog.append(order.root, "container", action, order.id, {**self.about, **more})

    def _note_volumes(self, *, mounted: bool) -> None:
        """Note that the volumes are in use from now on, or not any more; once for each change."""
        if self._uses_volumes == mounted:
            return
        self._uses_volumes = mounted
        for name, destination, writable in self.order.volumes:
            about = {"container": self.order.id, "driver": "local"}
            if mounted:
                about |= {"destination": destination, "read/write": str(writable).lower()}
            action = "mount" if mounted else "unmount"
            eventlog.append(self.order.root, "volume", action, name, about)

    def _monitor(self) -> Monitor | None:
        if self.order.health is None:
            return None
        from knarr.supervise.health.monitor import Monitor  # noqa: PLC0415 - few containers have a check

        return Monitor(self._loop, self, self.order.health)

    # phases: ordering to running

    def begin(self, descriptor: int) -> None:
        """Create, or adopt, the container that the order from `descriptor` tells of."""
        self._loop.watch_children(self._on_children)
        self._audience.ordering = self._audience.welcome(descriptor)
        if self.order.owner:
            self._audience.owner = self._audience.ordering
        trace("supervise:ordered")
        try:
            if self.order.adopt:
                self._adopt()
            else:
                self.log.begin()
                self._create()
        except KnarrError as error:
            self._fail(error)
        except OSError as error:
            self._fail(Failed(str(error)))

    def _create(self) -> None:
        order = self.order
        self._lock = places.take(order.control_dir)
        self._run.create(order.spec)
        self._kept.keep(self._run.pid, self.order.spec)
        self._audience.listen(self.order.control_dir)
        self._save_pid(task.CREATED, restart_count=self.restarts.count)
        trace("supervise:saved")
        self.phase = CREATED
        self._join_ordering()
        self._audience.tell_ordering({"event": "created", "pid": self._run.pid})

    def _adopt(self) -> None:
        self._lock = places.take_over(self.order.control_dir)
        self.task.fields.update(task.read(self.order.bundle_dir) or {})
        self._run.adopt(self._process_ended)
        self._kept.keep(self._run.pid, self.order.spec)
        self._audience.listen(self.order.control_dir)
        self.task.save(supervisor_pid=os.getpid())
        self.phase = RUNNING
        self._run.limit_time(self.task["started_ns"])
        if self._health:
            self._health.begin(adopted=True)
        if os.path.exists(f"{self.order.control_dir}/{places.NAMES}"):
            self.serve_names()
        self._join_ordering()
        self._audience.tell_ordering({"event": "started", "pid": self._run.pid})

    def start(self, peer: Peer) -> None:
        """Let the container's process run: the engine says that everything is there."""
        if peer is not self._audience.ordering or self.phase != CREATED:
            message = "only who ordered a container can start it, once"
            raise Conflict(message)
        try:
            self._start_run()
        except KnarrError as error:
            self._fail(error)
            return
        self._audience.tell_ordering({"event": "started", "pid": self._run.pid})
        self._on_children()

    def _start_run(self) -> None:
        # Written first: a process that was not told to start ends with us, so that one which is
        # found alive without us, whatever moment we were killed at, runs.
        self._save_pid(task.RUNNING, started_ns=time.time_ns())
        trace("supervise:starting")
        self._note_volumes(mounted=True)
        self._run.start()
        self.phase = RUNNING
        self._run.limit_time(self.task["started_ns"])
        if self._health:
            self._health.begin()
        self.note("start")
        trace("supervise:started")

    def _save_pid(self, status: str, **changes: object) -> None:
        pid = self._run.pid
        self.task.save(
            status=status,
            pid=pid,
            pid_started=task.start_time(pid),
            boot_id=task.boot_id(),
            supervisor_pid=os.getpid(),
            manually_stopped=False,
            next_start_ns=0,
            **changes,
        )

    def _fail(self, error: KnarrError) -> None:
        """Take back what was done, and say why."""
        status = error.status if isinstance(error, CommandFailed) else FAILED_STATUS
        self._run.abort()
        if not self.order.adopt:
            self.task.save(
                status=task.CREATED, pid=0, exit_code=status, error=error.message, boot_id=""
            )
            self.note("die", execDuration="0", exitCode=str(status))
            self._note_volumes(mounted=False)
        self._audience.tell_ordering({"event": "failed", **describe(error)})
        # What could not be adopted is left as it was found, for recovery to see.
        self._leave(removed=False, clean=not self.order.adopt)

    def ordering_ended(self, peer: Peer) -> None:
        """Take the container back if whoever ordered it left before it was started."""
        if peer is self._audience.ordering and self.phase == CREATED:
            trace("supervise:aborting")
            self._run.abort()
            self._leave(removed=False)

    # phases: running to exited

    def _on_children(self) -> None:
        """Reap all children that have ended: the container's process, execs, adopted orphans."""
        while self.phase != CREATED:  # the runtime waits for a process that does not start
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self._run.pid and self.phase == RUNNING:
                self._process_ended(status, "")
            elif pid == self._cleaner:
                self._cleaner_ended(status)
            else:
                self.sessions.on_exit(pid, exit_code(status))

    def _process_ended(self, status: int, remark: str) -> None:
        self.phase = DRAINING
        if self._health:
            self._health.end()
        self.task.fields.update(
            exit_code=exit_code(status),
            signal=os.WTERMSIG(status),
            finished_ns=time.time_ns(),
            error=remark,
        )
        trace("supervise:ended")
        self._run.kill_others()
        self._run.finish(self._drained)

    def _drained(self) -> None:
        """Decide what comes after the exit."""
        fields = self.task.fields
        fields["oom_killed"] = self._run.oom_killed
        ran = (fields["finished_ns"] - fields["started_ns"]) / 1e9
        if fields["oom_killed"]:
            self.note("oom")
        self.note("die", execDuration=f"{int(ran)}", exitCode=str(fields["exit_code"]))
        self._note_volumes(mounted=False)
        delay = self.restarts.decide(
            fields["exit_code"], ran=ran, wanted=fields["manually_stopped"]
        )
        if delay is None:
            self._record_exit()
            return
        self.phase = RESTARTING
        self.task.save(
            status=task.RESTARTING,
            pid=0,
            restart_count=self.restarts.count,
            next_start_ns=time.time_ns() + int(delay * 1e9),
        )
        event = {"event": "restarting", "exit_code": fields["exit_code"], "delay": delay}
        self._audience.tell(event)
        # Docker: who waits for the end of a run has waited enough, though there will be another
        self._audience.answer(self._exit(), removed=False)
        self._next_start = self._loop.later(delay, self._restart)

    def _restart(self) -> None:
        self._next_start = None
        self._remove_groups()
        self._run = make_run(self._loop, self.order, self.streams)
        try:
            self._run.create(self._kept.spec_for_restart(self.order.spec))
            self._start_run()
        except (KnarrError, OSError) as error:
            self._run.abort()
            self._note_volumes(mounted=False)
            status = error.status if isinstance(error, CommandFailed) else FAILED_STATUS
            self.task.fields.update(exit_code=status, error=str(error))
            self._record_exit()
        else:
            self._on_children()

    def _record_exit(self) -> None:
        """Record the final exit, tell everybody, and have it cleaned up."""
        trace("supervise:drained")
        self.phase = EXITED
        self.log.close()
        try:
            self.task.save(status=task.EXITED, pid=0, next_start_ns=0)
        except OSError as error:  # who is told here is all that will ever know
            self.task.fields["error"] = f"cannot record the exit: {error}"
        trace("supervise:recorded")
        self._audience.tell({"event": "exited", **self._exit()})
        self._audience.answer(self._exit(), removed=False)
        self._remove_groups()  # while who was told cleans up the rest
        if not self.order.auto_remove:
            try:
                self.task.sync()
            except FileNotFoundError:  # who was told has removed the container
                pass
        if self._audience.owner:
            self._loop.later(self.order.patience, self._clean_up)
        else:
            self._clean_up()

    def _exit(self) -> dict[str, Any]:
        """Return how the container ended, for those who are told."""
        told = {name: self.task[name] for name in ("exit_code", "oom_killed")}
        return {**told, "error_text": self.task["error"]}

    def _remove_groups(self) -> None:
        try:
            self._run.remove_groups()
        except KnarrError as error:
            cleaner.remark(self.order, str(error))

    # phases: exited to the end

    def own(self, peer: Peer) -> bool:
        """Let `peer` clean up after the exit, if nobody else is to; return whether it is."""
        if self._audience.owner is None and self.phase < EXITED:
            self._audience.owner = peer
        return self._audience.owner is peer

    def cleaned(self, peer: Peer, *, removed: bool) -> None:
        """End: the owner has cleaned up."""
        if self.phase == EXITED and peer is self._audience.owner and not self._cleaner:
            self._leave(removed=removed)

    def _clean_up(self) -> None:
        """Have the engine clean up in a process of its own."""
        if self.phase != EXITED or self._cleaner:
            return
        try:
            self._cleaner = cleaner.start(self.order)
        except FileNotFoundError:  # somebody removed the container this very moment
            self._leave(removed=True, clean=False)

    def _cleaner_ended(self, status: int) -> None:
        trace("supervise:cleaned")
        self._leave(removed=cleaner.finish(self.order), clean=status == 0)

    def _leave(self, *, removed: bool, clean: bool = True) -> None:
        """Give up the run directory and the lock, then wait for slow readers only.

        Without `clean` the directory stays, so that recovery tries again.
        """
        self.phase = LEAVING
        if self._lock >= 0:
            if clean:
                places.discard(self.order.control_dir)
            os.close(self._lock)
            self._lock = -1
        if removed:
            self._audience.tell({"event": "removed"})
            self._audience.answer({"exit_code": self.task["exit_code"]}, removed=True)
        self._audience.close()
        self._stop_if_alone()

    def _stop_if_alone(self) -> None:
        if self.phase == LEAVING and self._audience.empty:
            self._loop.stop()

    # what clients ask for

    def _join_ordering(self) -> None:
        peer, wanted = self._audience.ordering, self.order.attach
        if peer and wanted:
            names = {"stdout": STDOUT, "stderr": STDERR}
            self.streams.join(peer, tuple(names[name] for name in wanted if name in names))
            if "stdin" in wanted:
                self.requests.gives_input(peer)

    def peer_gone(self, peer: Peer) -> None:
        """Forget a client."""
        self.ordering_ended(peer)
        owner = peer is self._audience.owner
        self._audience.forget(peer)
        self.sessions.leave(peer)
        if owner:
            self._clean_up()
        self._stop_if_alone()

    def attach(self, peer: Peer, streams: tuple[int, ...]) -> None:
        """Give `peer` output and events from now on."""
        if self.phase >= EXITED:
            message = "You cannot attach to a stopped container, start it first"
            raise Conflict(message)
        self.streams.join(peer, streams)

    def wait(self, peer: Peer, number: object, condition: str) -> dict[str, Any] | None:
        """Answer at once if the condition holds, else later."""
        if condition == "not-running" and self.phase >= EXITED:
            return {"ok": True, **self._exit()}
        self._audience.wait(peer, number, condition)
        return None

    @property
    def network(self) -> int:
        """The network namespace, as a descriptor; negative before the first run."""
        return self._kept.network

    @property
    def pid(self) -> int:
        return self._run.pid

    def require_running(self) -> None:
        """Raise Conflict if the container's process does not run."""
        if self.phase != RUNNING:
            message = f"container {self.order.id} is not running"
            raise Conflict(message)

    @property
    def can_exec(self) -> bool:
        """Tell whether there are processes that can be joined and looked at."""
        return self.phase == RUNNING and not self._run.paused

    def note_health(self, status: str) -> None:
        """Record what the probes say of the container."""
        if self.phase == RUNNING:
            self.task.save(health=status)
        else:
            self.task.fields["health"] = status  # saved with the exit

    def require_going(self) -> None:
        """Raise Conflict if the container's processes do not run, or are paused.

        An exec into a paused container would be stopped before it could say a word.
        """
        self.require_running()
        if not self.can_exec:
            message = f"container {self.order.id} is paused, unpause the container before exec"
            raise Conflict(message)

    def signal(self, number: int) -> None:
        """Send a signal to the container's process."""
        self.require_running()
        self._run.signal(number)

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the container's terminal."""
        self._run.resize(rows, columns)

    def serve_names(self) -> tuple[int, int]:
        """Answer the container's questions for names; return the ports where it is listened."""
        if not self._run.pid:
            message = "there is no process whose network it would be"
            raise Conflict(message)
        if self._names is None:
            from knarr.supervise.names.resolver import Names  # noqa: PLC0415 - for few

            self._names = Names(self._loop, self.order.control_dir, self.order.run)
        return self._names.open(self._run.pid)

    def end_input(self) -> None:
        """End the container's input."""
        self._run.end_input()

    def stopping(self) -> None:
        """Take the next exit as wanted; a container between two runs has then ended."""
        self.task.save(manually_stopped=True)
        if self.phase == RESTARTING and self._next_start:
            self._next_start.cancel()
            self._record_exit()


def exit_code(status: int) -> int:
    """Return Docker's exit code for a status of wait(2)."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else FAILED_STATUS - code
