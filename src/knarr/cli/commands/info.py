"""knarr info."""

from __future__ import annotations

from knarr.cli.command import OBJECT_FORMAT, Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Context, Options

COMMAND = Command(
    short="Display system-wide information",
    options=(OBJECT_FORMAT,),
)

# The lines of the plain form: label and Docker's name of the fact.
LINES = (
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    (" Backing Filesystem", "DriverStatus"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Plugins", "Plugins"),
    ("Runtimes", "Runtimes"),
    ("Default Runtime", "DefaultRuntime"),
    ("Security Options", "SecurityOptions"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("Python Version", "PythonVersion"),
    ("Root Dir", "DockerRootDir"),
    ("Run Dir", "RunDir"),
    ("Settings File", "SettingsFile"),
    ("HTTP Proxy", "HttpProxy"),
    ("HTTPS Proxy", "HttpsProxy"),
    ("No Proxy", "NoProxy"),
    ("Live Restore Enabled", "LiveRestoreEnabled"),
)


def run(context: Context, options: Options, arguments: list[str]) -> int:  # noqa: ARG001 - alike
    from knarr.engine.systeminfo import system_info  # noqa: PLC0415 - not for --help

    facts = system_info(context.engine)
    form = options.text("format")
    if form:
        from knarr.api.render.system import OUTSIDE_OF_SWARM  # noqa: PLC0415 - only for who asks
        from knarr.cli.output import show_object  # noqa: PLC0415 - as above

        show_object(context, {**facts, "Swarm": OUTSIDE_OF_SWARM}, form)
        return 0
    for label, name in LINES:
        if facts[name] != "":
            context.print(f"{label}:{_words(name, facts[name])}")
    for warning in facts["Warnings"]:
        context.warn(warning)
    return 0


def _words(name: str, value: Any) -> str:
    from knarr.util.text import binary_size  # noqa: PLC0415 - not for --help

    if name == "MemTotal":
        return f" {binary_size(value)}"
    if name == "Plugins":
        return "".join(f"\n  {kind}: {' '.join(names)}" for kind, names in value.items())
    if name == "DriverStatus":
        return "".join(f" {text}" for _, text in value)
    if name == "SecurityOptions":
        return "".join(f"\n  {text.removeprefix('name=').partition(',')[0]}" for text in value)
    return f" {' '.join(value) if name == 'Runtimes' else value}"
