"""What is the matter with a container that runs, waits, or was never started."""

from __future__ import annotations

from knarr.engine.explaining.rules import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.explaining.facts import Facts

_RUNNING = "running"


def _unhealthy(facts: Facts) -> bool:
    return facts.status == _RUNNING and facts.health == "unhealthy"


def _deaf(facts: Facts) -> bool:
    return facts.status == _RUNNING and facts.deaf_port is not None


LIVE_RULES = (
    Rule(
        "paused",
        "it is paused",
        "It is paused, so that none of its programs does anything.",
        "Let it go on: knarr unpause {f.name}",
        when=lambda f: f.status == "paused",
    ),
    Rule(
        "health-tool-missing",
        "the program of the health check is not in the image",
        "Its health check fails because {f.probe_tool_missing}, which the check runs, is not in"
        " {f.reference}.",
        "Install it when the image is built, or use a check that needs no program:"
        " --health-http PORT/PATH or --health-tcp PORT.",
        when=lambda f: (
            f.status == _RUNNING
            and f.health in ("unhealthy", "starting")
            and bool(f.probe_tool_missing)
        ),
    ),
    Rule(
        "unhealthy",
        "the health check fails",
        "It runs, but its health check has failed {f.failing_streak} times in a row; the last"
        " probe gave {f.probe_words}.",
        "Try the check by hand: knarr exec {f.name} {f.check}; slow starters need"
        " --health-start-period.",
        when=_unhealthy,
    ),
    Rule(
        "listens-on-loopback",
        "it listens at 127.0.0.1 alone, and the port is published",
        "Port {f.deaf_port.port} is published, but the program listens on it at 127.0.0.1 alone,"
        " which nobody outside the container reaches.",
        "Let it listen at 0.0.0.0 (often an option like --host 0.0.0.0 or bind-address).",
        when=lambda f: _deaf(f) and f.deaf_port_is_local,
    ),
    Rule(
        "nothing-listens",
        "nothing listens on the published port",
        "Port {f.deaf_port.port} is published{f.deaf_port.host_words}, but nothing in the container"
        " listens on it; {f.listening_words}.",
        "Publish the port that the program listens on: -p HOST:PORT; a slow starter may need time.",
        when=_deaf,
    ),
    Rule(
        "health-unknown",
        "the health check has not succeeded yet",
        "It runs, and its health check has not succeeded yet.",
        "Wait for it: knarr events --filter event=health_status",
        when=lambda f: f.status == _RUNNING and f.health == "starting",
    ),
    Rule(
        "healthy",
        "it runs, and its health check succeeds",
        "It has been running for {f.time}, and its health check succeeds.",
        when=lambda f: f.status == _RUNNING and f.health == "healthy",
    ),
    Rule(
        "running",
        "it runs",
        "It has been running for {f.time}, and nothing is known to be wrong.",
        when=lambda f: f.status == _RUNNING,
    ),
    Rule(
        "never-started",
        "it was created and never started",
        "It was created and never started.",
        "Start it: knarr start {f.name}",
        when=lambda f: f.status == "created" and not f.error,
    ),
)
