"""What is measured, a class a row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.engines import IMAGE
from knarr.oci.descriptor import host_platform
from knarr.oci.seccomp import seccomp_for
from knarr.runtime.command.default_spec import default_spec

if TYPE_CHECKING:
    from benchmarks.engines import Engine

QUIET = ("--network", "none")
DOCKERFILE = f"""\
FROM {IMAGE}
ENV A=1
WORKDIR /srv
COPY page.txt .
LABEL b=2
CMD ["cat", "page.txt"]
"""


class Row:
    """One command, with what has to be so before it and after it; neither is timed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def suits(self, engine: Engine) -> bool:
        return not engine.runtime

    def before(self, engine: Engine, number: int) -> None:
        """Prepare round `number`; round 0 warms up."""

    def command(self, engine: Engine) -> list[str]:
        raise NotImplementedError

    def after(self, engine: Engine) -> None:
        """Take away what the command made."""


class Plain(Row):
    """A command that needs no more than what is there."""

    def __init__(self, *words: str) -> None:
        super().__init__(" ".join(words))
        self.words = words

    def command(self, engine: Engine) -> list[str]:
        return engine.words(*self.words)


class Listing(Plain):
    """A command that looks at one running container."""

    def before(self, engine: Engine, number: int) -> None:
        if number == 0:
            engine.call("run", "-d", *QUIET, "--name", "one", IMAGE, "sleep", "600")


class Exec(Plain):
    """A command in the container that `Listing` left running; the last of them removes it."""

    def __init__(self, *words: str, rounds: int) -> None:
        super().__init__(*words)
        self.left: dict[str, int] = {}
        self.rounds = rounds

    def after(self, engine: Engine) -> None:
        left = self.left.get(engine.name, self.rounds)
        self.left[engine.name] = left - 1
        if left == 0:
            engine.call("rm", "-f", "one")


class Run(Row):
    """`run --rm … true`, which an OCI runtime can be compared with when it has no network."""

    def __init__(self, *options: str) -> None:
        super().__init__(" ".join(("run --rm", *options, "true")))
        self.options = options

    def suits(self, engine: Engine) -> bool:
        if engine.runtime:
            return self.options == QUIET
        return QUIET[0] in self.options or engine.networked

    def command(self, engine: Engine) -> list[str]:
        return engine.run("--rm", *self.options, IMAGE, "true")


class Bundle(Row):
    """One bundle, which `knarr-runtime` and the other runtimes run in turn.

    Its spec is the one that `spec` of all of them writes, or that with Docker's seccomp profile, as
    engines give it.
    """

    def __init__(self, *, filtered: bool) -> None:
        super().__init__("one bundle, with Docker's filter" if filtered else "one bundle")
        self.filtered = filtered

    def suits(self, engine: Engine) -> bool:
        return engine.runtime or engine.name == "knarr"

    def before(self, engine: Engine, number: int) -> None:
        if number:
            return
        spec: dict[str, Any] = json.loads(json.dumps(default_spec()))
        spec["ociVersion"] = "1.0.2"  # so that older runtimes take it too
        spec["process"].update(args=["true"], terminal=False)
        spec["root"] = {"path": str(engine.work.parent / "rootfs")}
        if self.filtered:
            names = spec["process"]["capabilities"]["bounding"]
            spec["linux"]["seccomp"] = seccomp_for(names, host_platform().architecture)
        directory = self._directory(engine)
        directory.mkdir(exist_ok=True)
        (directory / "config.json").write_text(json.dumps(spec))

    def _directory(self, engine: Engine) -> Path:
        return engine.work / f"bundle-{'filtered' if self.filtered else 'short'}"

    def command(self, engine: Engine) -> list[str]:
        words = ("run", "--bundle", str(self._directory(engine)), f"bench-{os.getpid()}")
        return engine.runtime_words(*words)


class RunDetached(Row):
    def __init__(self) -> None:
        super().__init__("run -d")

    def command(self, engine: Engine) -> list[str]:
        return engine.run("-d", *QUIET, "--name", "two", IMAGE, "sleep", "600")

    def after(self, engine: Engine) -> None:
        engine.call("rm", "-f", "two")


class End(Row):
    """A command that ends or removes a container made for it."""

    def __init__(self, *words: str, running: bool = True) -> None:
        super().__init__(" ".join(words) + ("" if running else " (created)"))
        self.words = words
        self.running = running

    def before(self, engine: Engine, number: int) -> None:  # noqa: ARG002 - as the others
        start = ("run", "-d") if self.running else ("create",)
        engine.call(*start, *QUIET, "--name", "three", IMAGE, "sleep", "600")

    def command(self, engine: Engine) -> list[str]:
        return engine.words(*self.words, "three")

    def after(self, engine: Engine) -> None:
        if self.words[0] != "rm":
            engine.call("rm", "-f", "three")


class Build(Row):
    """A small build; `change` says what is different each time."""

    def __init__(self, change: str) -> None:
        super().__init__(f"build, {change}")
        self.change = change

    def before(self, engine: Engine, number: int) -> None:
        context = Path(engine.work) / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(DOCKERFILE)
        text = f"{number}\n" if self.change == "COPY changed" else "same\n"
        (context / "page.txt").write_text(text)

    def command(self, engine: Engine) -> list[str]:
        options = ["--no-cache"] if self.change == "no cache" else []
        return engine.words("build", "-q", *options, "-t", "bench-built", "context")


def rows(rounds: int) -> list[Row]:
    """Return all rows in the order they are measured."""
    return [
        Plain("--version"),
        Run(*QUIET),
        Bundle(filtered=False),
        Bundle(filtered=True),
        Run("--network", "host"),
        Run(),
        Run(*QUIET, "-v", "/tmp:/mnt"),
        Run(*QUIET, "-m", "64m", "--cpus", "1"),
        RunDetached(),
        Listing("ps"),
        Plain("images"),
        Plain("inspect", "one"),
        Plain("logs", "one"),
        Exec("exec", "one", "true", rounds=rounds),
        End("stop", "-t", "0"),
        End("kill"),
        End("rm", "-f"),
        End("rm", running=False),
        Build("nothing changed"),
        Build("COPY changed"),
        Build("no cache"),
    ]
