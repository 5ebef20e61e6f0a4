"""The eighteen instructions as values.

An instruction has its `node` for where and how it was written, and fields for what it means, not
yet expanded: variables are known only while a stage is lowered.
"""

from __future__ import annotations

from knarr.build.dockerfile.nodes import Node, Pair
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.build.dockerfile.heredocs import Heredoc


class Instruction(Value):
    """What all instructions have."""

    node: Node

    @property
    def keyword(self) -> str:
        """The keyword in upper case."""
        return self.node.name.upper()


class From(Instruction):
    """`FROM [--platform=P] base [AS name]`: begins a stage."""

    base: str
    stage: str = ""
    platform: str = ""


class CommandLine(Value):
    """A command: `words` to execute, or with `shell` one text for the shell to read.

    `heredocs` follow a shell text; the text still has their `<<NAME`.
    """

    words: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


class Run(Instruction):
    """`RUN`: a command whose changes become a layer. `mounts` and `devices` are as written."""

    command: CommandLine
    mounts: tuple[str, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()


class Cmd(Instruction):
    """`CMD`: what a container runs unless told otherwise."""

    command: CommandLine


class Entrypoint(Instruction):
    """`ENTRYPOINT`: what a container always runs."""

    command: CommandLine


class Env(Instruction):
    """`ENV`: variables of every later step and of the container."""

    pairs: tuple[Pair, ...]


class Label(Instruction):
    """`LABEL`: what the image says about itself."""

    pairs: tuple[Pair, ...]


class Argument(Value):
    """One name of an ARG; `description` is the comment above that begins with the name."""

    name: str
    default: str | None = None
    description: str = ""


class Arg(Instruction):
    """`ARG`: variables of the build alone."""

    arguments: tuple[Argument, ...]


class Transfer(Instruction):
    """What COPY and ADD have in common. `inline` are sources that are heredocs."""

    sources: tuple[str, ...]
    inline: tuple[Heredoc, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


class Copy(Transfer):
    """`COPY`: files of the context, of another stage or image."""

    origin: str = ""
    parents: bool = False


class Add(Transfer):
    """`ADD`: files of the context, URLs, git repositories; archives are unpacked."""

    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


class Workdir(Instruction):
    """`WORKDIR`: the working directory from here on, made if missing."""

    path: str


class User(Instruction):
    """`USER`: who runs later steps and the container."""

    user: str


class Expose(Instruction):
    """`EXPOSE`: ports that the image means to serve."""

    ports: tuple[str, ...]


class Volume(Instruction):
    """`VOLUME`: directories that outlive a container."""

    paths: tuple[str, ...]


class StopSignal(Instruction):
    """`STOPSIGNAL`: the signal that asks the container to end."""

    signal: str


class Shell(Instruction):
    """`SHELL`: the command that reads the shell forms from here on."""

    words: tuple[str, ...]


class Maintainer(Instruction):
    """`MAINTAINER`: the author; a label does the same."""

    author: str


class Healthcheck(Instruction):
    """`HEALTHCHECK`: durations in nanoseconds, 0 is the default."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class OnBuild(Instruction):
    """`ONBUILD`: a line to be obeyed by who builds on this image."""

    trigger: str


class Stage(Value):
    """A FROM and the instructions up to the next one."""

    head: From
    instructions: tuple[Instruction, ...]
    index: int
    description: str = ""
