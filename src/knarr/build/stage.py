"""A stage while it is lowered: the vertex it has come to, and the image it would be.

Variables are looked up in `env`: the image's environment with the ARGs declared so far. Only the
image's own environment ends up in `config`.
"""

from __future__ import annotations

from math import log10
from posixpath import join, normpath

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.words import Lexer
from knarr.build.graph import Image, Vertex, make_vertex
from knarr.oci.config import History, RunConfig
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from knarr.build.dockerfile.instructions import Instruction
    from knarr.build.dockerfile.nodes import Node
    from knarr.build.worker import Base
    from knarr.oci.descriptor import Platform

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMENT = "buildkit.dockerfile.v0"
_DEFAULT_SHELL = ("/bin/sh", "-c")
_NAMING = Lexer(keep_quotes=True, keep_unset=True)


class Written(Value):
    """One line of the history to come; `vertex` made its layer, or there is none."""

    created_by: str
    vertex: str = ""


class StageState:
    """What instructions change. `name` is shown in progress; `steps` of them make layers."""

    def __init__(self, name: str, steps: int, platform: Platform, lexer: Lexer) -> None:
        self.name = name
        self.steps = steps
        self.step = 0
        self.platform = platform
        self.lexer = lexer
        self.vertex: Vertex | None = None
        self.config = RunConfig()
        self.author = ""
        self.inherited: tuple[History, ...] = ()
        self.history: list[Written] = []
        self.env: dict[str, str] = {}
        self.arguments: dict[str, str] = {}
        self.workdir_given = False
        self.command_given = False
        self.triggers: tuple[str, ...] = ()
        self.base_image = ""
        self.epoch: int | None = None

    def begin_scratch(self) -> None:
        """Begin with nothing."""
        self.vertex = make_vertex(Image("", ()), name="scratch")
        self.config = RunConfig(env=(DEFAULT_PATH,), working_dir="/")
        self._take_env()

    def begin_files(self, vertex: Vertex, name: str) -> None:
        """Begin with the files of a named context, and what `scratch` says."""
        self.begin_scratch()
        self.note(f"FROM {name}", vertex)

    def begin_image(self, base: Base, node: Node) -> None:
        """Begin with an image."""
        config = base.config.config
        self.steps += 1 + len(config.on_build)
        name = self.title(f"FROM {base.reference}")
        image = Image(base.reference, base.stack, str(base.config.digest))
        self.vertex = make_vertex(image, name=name, lines=(node.first, node.last))
        self.platform = base.config.platform
        self.author = base.config.author
        self.triggers = config.on_build
        self.config = config.replace(on_build=())
        self.base_image = str(base.config.digest)
        self.inherited = _complete(base.config.history, len(base.stack))
        self._take_env()
        self._normalize()

    def begin_stage(self, other: StageState, triggers: tuple[str, ...]) -> None:
        """Begin where another stage ended. `triggers` are that stage's own ONBUILD lines."""
        self.steps += len(triggers)
        self.vertex = other.vertex
        self.platform = other.platform
        self.author = other.author
        self.triggers = triggers
        self.config = other.config.replace(on_build=())
        self.base_image = other.base_image
        self.epoch = other.epoch
        self.inherited = other.inherited
        self.history = list(other.history)
        self.env = dict(other.env)
        self.arguments = dict(other.arguments)
        self.workdir_given = other.workdir_given
        self._take_env()

    def _take_env(self) -> None:
        if not any(entry.startswith("PATH=") for entry in self.config.env):
            self.config = self.config.replace(env=(*self.config.env, DEFAULT_PATH))
        self.env.update(split_env(self.config.env))

    def _normalize(self) -> None:
        if self.config.working_dir:
            self.config = self.config.replace(working_dir=self.place(self.config.working_dir))

    def place(self, path: str, *, keep_slash: bool = False) -> str:
        """Return `path`, which may be relative to WORKDIR, as absolute and without detours.

        With `keep_slash` a slash or `/.` at the end stays: a directory is meant.
        """
        whole = normpath(join("/", self.config.working_dir or "/", path))
        whole = whole[1:] if whole.startswith("//") else whole
        if not keep_slash or whole == "/":
            return whole
        if path.endswith("/") or path in ("", "."):
            return f"{whole}/"
        return f"{whole}/." if path.endswith("/.") else whole

    def shell(self, text: str) -> tuple[str, ...]:
        """Return the command that has `text` read by the shell of SHELL."""
        return (*(self.config.shell or _DEFAULT_SHELL), text)

    def note(self, created_by: str, vertex: Vertex | None = None) -> None:
        """Add a line to the history, of an instruction that made the layer `vertex` or none."""
        if vertex is not None:
            self.vertex = vertex
        self.history.append(Written(created_by, vertex.digest if vertex else ""))

    def title(self, text: str, *, triggered: bool = False) -> str:
        """Return the name of the next step, as `[build 2/4] RUN make`."""
        if not self.steps:
            return text
        self.step += 1
        width = int(1 + log10(self.steps))
        name = f"{self.name} " if self.name else ""
        trigger = "ONBUILD " if triggered else ""
        return f"[{name}{self.step:{width}d}/{self.steps}] {trigger}{text}"

    def step_title(
        self,
        instruction: Instruction,
        *,
        suffix: str = "",
        triggered: bool,
        quotes: bool = False,
        secret: Iterable[str] = (),
    ) -> str:
        """Return the name of an instruction's step: its text, with known variables replaced.

        Of `secret` ones it is known only when the step runs what they are, and is not to be shown.
        """
        text = instruction.node.text.strip() + suffix
        try:
            lexer = _NAMING.replace(escape=self.lexer.escape) if quotes else self.lexer
            text = lexer.expand(text, {**self.env, **dict.fromkeys(secret, "****")}).text
        except Fault:
            pass  # then it is shown as written
        keyword, blank, rest = text.partition(" ")
        return self.title(keyword.upper() + blank + rest, triggered=triggered)

    def environment(self) -> tuple[str, ...]:
        """Return the environment of a command: the image's, and the ARGs."""
        return tuple(f"{name}={value}" for name, value in self.env.items())


def split_env(entries: Sequence[str]) -> dict[str, str]:
    """Return the variables of an environment."""
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}


def join_env(entries: Sequence[str], given: Mapping[str, str]) -> tuple[str, ...]:
    """Return an environment with some variables set, each in its old place or at the end."""
    return tuple(f"{name}={value}" for name, value in {**split_env(entries), **given}.items())


def _complete(history: tuple[History, ...], layers: int) -> tuple[History, ...]:
    """Add what a history lacks to have a line for each layer."""
    told = sum(not entry.empty_layer for entry in history)
    return (History(),) * max(0, layers - told) + history
