"""knarr as a library: the engine without a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import knarr as package
from knarr.engine.options.values import Networking, Options, Resources
from knarr.errors import CommandFailed, Conflict, NotFound

if TYPE_CHECKING:
    from support.engine import Knarr

pytestmark = pytest.mark.root

ALONE = Options(networking=Networking(mode="none"))


def test_run_wait_logs_remove(knarr: Knarr) -> None:
    with package.Engine(knarr.root, knarr.run_dir) as engine:
        container = engine.containers.run("busybox", ["sh", "-c", "echo hi; exit 3"], options=ALONE)
        assert container.wait() == 3
        assert [entry.text for entry in container.logs() if entry] == ["hi\n"]
        assert container.status == "exited"
        container.remove()
        with pytest.raises(NotFound, match="no such container"):
            engine.containers.get(container.id)


def test_exec_stop_and_errors_as_classes(knarr: Knarr) -> None:
    engine = knarr.engine
    options = ALONE.replace(resources=Resources(memory=64 << 20), stop_signal="KILL")
    container = engine.containers.run("busybox", ["sleep", "100"], name="web", options=options)
    assert container.exec(["echo", "inside"]).stdout == b"inside\n"
    with pytest.raises(Conflict, match="already in use"):
        engine.containers.run("busybox", name="web")
    with pytest.raises(CommandFailed) as failed:
        engine.containers.run("busybox", ["nope"], options=ALONE.replace(auto_remove=True))
    assert failed.value.status == 127
    container.stop()
    assert container.state.exit_code == 137
    assert [one.name for one in engine.containers.all()] == ["web"]
    assert engine.containers.running() == []
