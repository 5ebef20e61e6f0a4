"""Looking after a container's health: when to probe, what the results mean, what is done then.

    starting ──▶ healthy ◀──▶ unhealthy

A probe that succeeds makes the container healthy at once. As many failures in a row as `retries`
make it unhealthy, but while it has never been healthy, failures within the start period do not
count. The next probe begins `interval` after the end of the last one; in the start period, as long
as the container is starting, after `start_interval`.

What is known is in two files: task.json has the status, which lists show, and changes seldom;
`health.json` beside it is Docker's object State.Health with the last five results, replaced after
each probe, never synced.

A container that becomes unhealthy can be acted upon: stopped for good, killed (then its restart
policy is asked), or restarted whatever its policy says. A paused container is not probed.

Docker: daemon/health.go of moby
"""

from __future__ import annotations

import time

from knarr.errors import KnarrError
from knarr.supervise import task
from knarr.supervise.health import probes
from knarr.supervise.jsonfile import rfc3339
from knarr.util import jsontext
from knarr.util.files import write_atomically

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.supervise.loop import Loop, Timer
    from knarr.supervise.messages import Health
    from knarr.supervise.supervisor import Supervisor

STARTING = "starting"
HEALTHY = "healthy"
UNHEALTHY = "unhealthy"

KEPT = 5  # results
SIGKILL = 9


class Verdict:
    """The status after each result. Pure."""

    __slots__ = ("health", "status", "streak")

    def __init__(self, health: Health) -> None:
        self.health = health
        self.status = STARTING
        self.streak = 0

    def judge(self, code: int, *, age: float) -> bool:
        """Take the exit code of a probe that began at `age`; return whether the status changed."""
        before = self.status
        if code == 0:
            self.streak = 0
            self.status = HEALTHY
        elif before != STARTING or age >= self.health.start_period:
            self.streak += 1
            if self.streak >= self.health.retries:
                self.status = UNHEALTHY
        return self.status != before

    def pause(self, *, age: float) -> float:
        """Return the seconds until the next probe."""
        if self.status == STARTING and age < self.health.start_period:
            return self.health.start_interval
        return self.health.interval


class Monitor:
    """Probes the container of a supervisor, from the start of a run to its end."""

    def __init__(self, loop: Loop, supervisor: Supervisor, health: Health) -> None:
        self._loop = loop
        self._supervisor = supervisor
        self._health = health
        self._verdict = Verdict(health)
        self._log: list[dict[str, Any]] = []
        self._path = task.health_path(supervisor.order.bundle_dir)
        self._next: Timer | None = None
        self._probe: probes.Probe | None = None

    def begin(self, *, adopted: bool = False) -> None:
        """Look after a new run, or after one that has been going on, as far as it is known."""
        before = task.read_health(self._supervisor.order.bundle_dir) if adopted else None
        self._verdict = Verdict(self._health)
        if before:
            self._verdict.status = before["Status"]
            self._verdict.streak = before["FailingStreak"]
            self._log = before["Log"]
        self._save()
        self._plan()

    def end(self) -> None:
        """Probe no more: the process has ended.

        Docker: what does not run is unhealthy
        """
        if self._next:
            self._next.cancel()
            self._next = None
        if self._probe:
            self._probe.stop()
            self._probe = None
        self._verdict.status = UNHEALTHY
        self._save()

    def _age(self) -> float:
        return time.time() - float(self._supervisor.task["started_ns"]) / 1e9

    def _plan(self) -> None:
        self._next = self._loop.later(self._verdict.pause(age=self._age()), self._look)

    def _look(self) -> None:
        self._next = None
        supervisor, health = self._supervisor, self._health
        if not supervisor.can_exec:
            self._plan()
            return
        began, age = time.time_ns(), self._age()

        def done(code: int, output: str) -> None:
            self._probe = None
            self._take(code, output, began, age)

        limited = (self._loop, health.timeout, health.timeout_words, done)
        if health.test[0] == "CMD":
            process = {
                **supervisor.order.spec["process"],
                "args": list(health.test[1:]),
                "terminal": False,
            }
            self._keep(probes.CommandProbe(supervisor.sessions, process, supervisor.pid, limited))
        else:
            target = probes.Target(health.test)
            self._keep(probes.PortProbe(self._loop, supervisor.network, target, limited))

    def _keep(self, probe: probes.Probe) -> None:
        """Remember a probe, unless it had its result at once."""
        if self._next is None:
            self._probe = probe

    def _take(self, code: int, output: str, began: int, age: float) -> None:
        result = {
            "Start": rfc3339(began),
            "End": rfc3339(time.time_ns()),
            "ExitCode": code,
            "Output": output,
        }
        self._log = [*self._log[1 - KEPT :], result]
        changed = self._verdict.judge(code, age=age)
        self._save(status_changed=changed)
        if changed:
            self._supervisor.note(f"health_status: {self._verdict.status}")
        self._plan()
        if changed and self._verdict.status == UNHEALTHY:
            self._act()

    def _save(self, *, status_changed: bool = True) -> None:
        status = self._verdict.status
        document = {"Status": status, "FailingStreak": self._verdict.streak, "Log": self._log}
        try:
            write_atomically(self._path, jsontext.dumps(document).encode(), durable=False)
            if status_changed:
                self._supervisor.note_health(status)
        except OSError:  # a full disk: the status in memory still counts
            pass

    def _act(self) -> None:
        action = self._health.on_failure
        supervisor = self._supervisor
        if action == "none":
            return
        if action == "stop":
            supervisor.task.save(manually_stopped=True)
        elif action == "restart":
            supervisor.restarts.demanded = True
        number = SIGKILL if action == "kill" else self._health.stop_signal
        self._send(number)
        if number != SIGKILL and self._health.stop_timeout >= 0:
            pid = supervisor.pid
            self._loop.later(self._health.stop_timeout, lambda: self._kill(pid))

    def _kill(self, pid: int) -> None:
        if self._supervisor.pid == pid:
            self._send(SIGKILL)

    def _send(self, number: int) -> None:
        try:
            self._supervisor.signal(number)
        except KnarrError:  # it has ended meanwhile
            pass
