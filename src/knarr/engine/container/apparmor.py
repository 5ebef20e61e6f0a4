"""AppArmor: the profile of a container, where the host has AppArmor.

Without a word about it a container gets `knarr-default`, which forbids what none needs: to mount,
to write to the kernel's parameters and to most of /sys, to trace what is outside. It is a second
lock behind namespaces, capabilities and read-only mounts, whose absence nobody must notice. The
profile is loaded by `apparmor_parser` when the first container wants it; a host that has AppArmor
without that program runs containers without a profile, and `info` does not list AppArmor then.

A profile that is asked for by name must be there: to run without it would be worse than not to run.

Docker: `--security-opt apparmor=NAME|unconfined`; docker-default
"""

from __future__ import annotations

import os

from knarr.errors import Failed, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Security

DEFAULT = "knarr-default"
UNCONFINED = "unconfined"
ENABLED = "/sys/module/apparmor/parameters/enabled"
_LOADED = "/sys/kernel/security/apparmor/profiles"
_PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")

PROFILE = f"""
profile {DEFAULT} flags=(attach_disconnected,mediate_deleted) {{
  file,
  network,
  capability,
  umount,
  signal (receive) peer=unconfined,
  signal (send, receive) peer={DEFAULT},
  ptrace (trace, read, tracedby, readby) peer={DEFAULT},

  deny mount,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/[^s]** w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /sys/[^f]** wklx,
  deny /sys/f[^s]** wklx,
  deny /sys/fs/[^c]** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


def profile(security: Security) -> str:
    """Return the name of the profile of a container, nothing if it has none; load the default.

    Raises: Unsupported, Failed
    """
    name = asked(security)
    if name == UNCONFINED:
        return ""
    if name and not is_enabled():
        message = f"--security-opt apparmor={name}: the kernel has no AppArmor"
        raise Unsupported(message, hint="apparmor=unconfined is what there is without it.")
    if name or security.privileged or not can_load():
        return name
    _load()
    return DEFAULT


def asked(security: Security) -> str:
    """Return the profile that the options name, the last one of several."""
    names = [text[9:] for text in security.texts if text[:9] in ("apparmor=", "apparmor:")]
    return names[-1] if names else ""


def shown(security: Security) -> str:
    """Return what `inspect` shows as the container's profile."""
    if asked(security) or not can_load():
        return asked(security)
    return UNCONFINED if security.privileged else DEFAULT


def is_enabled() -> bool:
    """Tell whether the kernel confines by AppArmor."""
    try:
        with open(ENABLED, "rb", buffering=0) as file:
            return file.read(1) == b"Y"
    except OSError:
        return False


def can_load() -> bool:
    """Tell whether containers get the default profile here."""
    return is_enabled() and (_is_loaded() or bool(_parser()))


def _is_loaded() -> bool:
    try:
        with open(_LOADED, encoding="utf-8", errors="replace") as file:
            return any(line.startswith(f"{DEFAULT} (") for line in file)
    except OSError:  # securityfs is not mounted
        return False


def _parser() -> str:
    paths = (f"{place}/apparmor_parser" for place in _PLACES)
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def _load() -> None:
    if _is_loaded():
        return
    import subprocess  # noqa: PLC0415 - once after the machine has started

    command = [_parser(), "--replace", "--skip-cache"]
    done = subprocess.run(command, input=PROFILE.encode(), capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        message = f"loading the AppArmor profile {DEFAULT}: {said}"
        raise Failed(message, hint="--security-opt apparmor=unconfined does without.")
