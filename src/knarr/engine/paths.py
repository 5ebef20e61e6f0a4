"""Where everything lies, from two directories: the root, which stays, and run, gone at reboot.

    <root>/knarr.db              all that can be listed
    <root>/images/               an OCI layout
    <root>/layers/<chain>/       unpacked layers
    <root>/containers/<id>/      config.json, upper, work, log, hosts, task.json
    <root>/volumes/<name>/_data
    <root>/journal/              one locked file for each operation under way
    <run>/containers/<id>/       control socket, the supervisor's lock, the mount point
    <run>/boot_id                the boot in which a command last looked for what it left

What only some commands need has its place beside these, named in the one module that it belongs to:
`builds` (`build.workplace`), `secrets`, `events.log` (`util.eventlog`) and `init` below the root;
`seccomp`, `networks`, `images`, `volumes`, `secrets`, `builds` and `waiting` below run.
`docs/architecture.md` shows the whole tree.
"""

from __future__ import annotations

import os

SYSTEM_ROOT = "/var/lib/knarr"
_PRIVATE = 0o700


class Paths:
    """The names below one root and one run directory. Makes nothing but `prepare`."""

    __slots__ = (
        "boot_id_path",
        "containers_dir",
        "database_path",
        "images_dir",
        "journal_dir",
        "layers_dir",
        "root",
        "run",
        "tasks_dir",
        "volumes_dir",
    )

    def __init__(self, root: str | None = None, run: str | None = None) -> None:
        """Take `root` and `run`, or what the environment says, or where the user may write."""
        self.root = os.path.realpath(root or os.environ.get("KNARR_ROOT") or default_root())
        self.run = os.path.realpath(run or os.environ.get("KNARR_RUN") or default_run())
        self.database_path = f"{self.root}/knarr.db"
        self.images_dir = f"{self.root}/images"
        self.layers_dir = f"{self.root}/layers"
        self.containers_dir = f"{self.root}/containers"
        self.volumes_dir = f"{self.root}/volumes"
        self.journal_dir = f"{self.root}/journal"
        self.tasks_dir = f"{self.run}/containers"
        self.boot_id_path = f"{self.run}/boot_id"

    def prepare(self) -> None:
        """Make the directories that every command expects. Two stat calls when they exist.

        What images, volumes and records hold is nobody else's on the host to reach: think of
        setuid programs in a volume, and of what containers have in their environment. A root of
        an earlier version, which let others pass through it, is closed.
        """
        if not _is_private(self.journal_dir):
            from knarr.util.files import make_directories  # noqa: PLC0415 - once a root

            make_directories(self.root, _PRIVATE)
            for directory in (
                self.layers_dir, self.images_dir, self.containers_dir, self.volumes_dir,
                self.journal_dir,
            ):  # fmt: skip
                os.makedirs(directory, _PRIVATE, exist_ok=True)
                os.chmod(directory, _PRIVATE)
            for ending in ("", "-wal", "-shm"):
                _close_file(f"{self.database_path}{ending}")
        if not os.path.isdir(self.tasks_dir):
            os.makedirs(self.run, 0o711, exist_ok=True)
            os.makedirs(self.tasks_dir, 0o711, exist_ok=True)

    @property
    def recovery_lock_path(self) -> str:
        """The lock of who finishes, or takes back, what killed processes left."""
        return f"{self.root}/recovery.lock"

    @property
    def realm(self) -> str:
        """The name that control groups of this root have in common, and no other root's."""
        if self.root == SYSTEM_ROOT:
            return "knarr"
        from knarr.oci.digest import digest_of  # noqa: PLC0415 - the default root has a plain name

        return f"knarr-{digest_of(self.root.encode()).hex[:8]}"

    def container(self, container_id: str) -> str:
        """Return the directory in which a container keeps what outlives a reboot."""
        return f"{self.containers_dir}/{container_id}"

    def task(self, container_id: str) -> str:
        """Return the directory in which a running container is reached."""
        return f"{self.tasks_dir}/{container_id}"

    def waiting(self, container_id: str) -> str:
        """Return the directory of those who want to be there when a container starts, if any."""
        return f"{self.run}/waiting/{container_id}"


def _is_private(directory: str) -> bool:
    """Tell whether there is a directory that is for its owner alone."""
    try:
        return not os.stat(directory).st_mode & 0o077
    except FileNotFoundError:
        return False


def _close_file(path: str) -> None:
    try:
        os.chmod(path, 0o600)
    except FileNotFoundError:
        pass


def default_root() -> str:
    """Return where records and files are kept when nobody says."""
    if os.geteuid() == 0:
        return SYSTEM_ROOT
    home = os.environ.get("XDG_DATA_HOME") or f"{os.path.expanduser('~')}/.local/share"
    return f"{home}/knarr"


def default_run() -> str:
    """Return where sockets and locks are kept when nobody says."""
    if os.geteuid() == 0:
        return "/run/knarr"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # Never /tmp: another user may have made there what is looked for.
    return f"{runtime}/knarr" if runtime else f"{default_root()}/run"
