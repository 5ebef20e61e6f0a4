"""The names of all commands, where each lives, and one line about it.

This is all that `knarr --help` and finding a command need; no command is imported for it. A test
holds the lines against the commands themselves.
"""

from __future__ import annotations

# name → (module of knarr.cli.commands, one line); those of every day first.
COMMON: dict[str, tuple[str, str]] = {
    "run": ("run", "Create and run a new container from an image"),
    "exec": ("exec", "Execute a command in a running container"),
    "ps": ("ps", "List containers"),
    "build": ("build", "Build an image from a Dockerfile"),
    "images": ("images", "List images"),
    "version": ("version", "Show the knarr version information"),
    "info": ("info", "Display system-wide information"),
}

COMMANDS: dict[str, tuple[str, str]] = {
    "attach": (
        "attach",
        "Attach local standard input, output, and error streams to a running container",
    ),
    "commit": ("commit", "Create a new image from a container's changes"),
    "completion": ("completion", "Generate the autocompletion script for a shell"),
    "cp": ("cp", "Copy files/folders between a container and the local filesystem"),
    "create": ("create", "Create a new container"),
    "diff": ("diff", "Inspect changes to files or directories on a container's filesystem"),
    "events": ("events", "Get real time events"),
    "explain": ("explain", "Explain why a container ended, or why a build did steps again"),
    "export": ("export", "Export a container's filesystem as a tar archive"),
    "help": ("help", "Show the help of a command"),
    "history": ("history", "Show the history of an image"),
    "import": ("import_", "Import the contents from a tarball to create a filesystem image"),
    "inspect": ("inspect", "Return low-level information on knarr objects"),
    "kill": ("kill", "Kill one or more running containers"),
    "load": ("load", "Load an image from a tar archive or STDIN"),
    "login": ("login", "Authenticate to a registry"),
    "logout": ("logout", "Log out from a registry"),
    "logs": ("logs", "Fetch the logs of a container"),
    "pause": ("pause", "Pause all processes within one or more containers"),
    "port": ("port", "List port mappings or a specific mapping for the container"),
    "pull": ("pull", "Download an image from a registry"),
    "push": ("push", "Upload an image to a registry"),
    "rename": ("rename", "Rename a container"),
    "restart": ("restart", "Restart one or more containers"),
    "rm": ("rm", "Remove one or more containers"),
    "rmi": ("rmi", "Remove one or more images"),
    "save": ("save", "Save one or more images to a tar archive (streamed to STDOUT by default)"),
    "search": ("search", "Search Docker Hub for images"),
    "serve": ("serve", "Serve the Docker Engine API"),
    "start": ("start", "Start one or more stopped containers"),
    "stats": ("stats", "Display a live stream of container(s) resource usage statistics"),
    "stop": ("stop", "Stop one or more running containers"),
    "tag": ("tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    "top": ("top", "Display the running processes of a container"),
    "unpause": ("unpause", "Unpause all processes within one or more containers"),
    "untag": ("untag", "Take names from an image, which stays"),
    "update": ("update", "Update configuration of one or more containers"),
    "wait": ("wait", "Block until one or more containers stop, then print their exit codes"),
}

# One line about each command that is reached by its group alone.
GROUPED: dict[str, str] = {
    "builder_du": "Show what the build cache holds",
    "builder_history_inspect": "Show what is remembered of a build",
    "builder_history_ls": "List the builds that are remembered",
    "builder_history_rm": "Forget builds, with the logs of their failed steps",
    "builder_logs": "Show what the steps of a build printed",
    "builder_prune": "Remove build cache",
    "container_inspect": "Display detailed information on one or more containers",
    "container_prune": "Remove all stopped containers",
    "image_copy": "Copy an image between registries, archives, layouts and the local store",
    "image_diff": "Show in which files an image differs from another",
    "image_inspect": "Display detailed information on one or more images",
    "image_mount": "Mount the file system of one or more images, read-only",
    "image_prune": "Remove unused images",
    "image_squash": "Make one layer of all layers of an image, or of those above another",
    "image_unmount": "Unmount one or more images that are mounted",
    "manifest_annotate": "Add additional information to a local image manifest",
    "manifest_create": "Create a local manifest list for annotating and pushing to a registry",
    "manifest_inspect": "Display an image manifest, or manifest list",
    "manifest_push": "Push a manifest list to a repository",
    "manifest_rm": "Delete one or more manifest lists from local storage",
    "network_connect": "Connect a container to a network",
    "network_create": "Create a network",
    "network_disconnect": "Disconnect a container from a network",
    "network_inspect": "Display detailed information on one or more networks",
    "network_ls": "List networks",
    "network_prune": "Remove all unused networks",
    "network_reload": "Make the host's bridges and rules anew as the records say",
    "network_rm": "Remove one or more networks",
    "secret_create": "Create a secret from a file, standard input or a variable",
    "secret_exists": "Tell by the exit status whether a secret exists",
    "secret_inspect": "Display detailed information on one or more secrets",
    "secret_ls": "List secrets",
    "secret_rm": "Remove one or more secrets",
    "system_boot": "Start the containers that should run after a reboot",
    "system_check": "Look for what is not as it should be",
    "system_df": "Show disk usage",
    "system_dial_stdio": "Let a client at the other end of standard input and output use the API",
    "system_prune": "Remove unused data",
    "system_unit": "Print a systemd unit that starts containers at boot",
    "volume_clone": "Create a volume with the content of a volume or snapshot",
    "volume_create": "Create a volume",
    "volume_exists": "Tell by the exit status whether a volume exists",
    "volume_export": "Export the content of a volume or snapshot as a tar archive",
    "volume_import": "Put the content of a tar archive into a volume",
    "volume_inspect": "Display detailed information on one or more volumes",
    "volume_ls": "List volumes",
    "volume_prune": "Remove unused local volumes",
    "volume_rename": "Rename a volume that no container has",
    "volume_restore": "Give a volume the content of its snapshot",
    "volume_rm": "Remove one or more volumes",
    "volume_snapshot": "Keep the content of a volume as it is now",
    "volume_snapshots": "List the snapshots of volumes",
}

# group → (one line, {name: module}). Several names of one module are aliases, the first one shown.
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "builder": (
        "Manage builds",
        {
            "build": "build",
            "du": "builder_du",
            "history ls": "builder_history_ls",
            "history": "builder_history_ls",
            "history inspect": "builder_history_inspect",
            "history logs": "builder_logs",
            "history rm": "builder_history_rm",
            "logs": "builder_logs",
            "prune": "builder_prune",
        },
    ),
    "container": (
        "Manage containers",
        {
            "attach": "attach",
            "commit": "commit",
            "cp": "cp",
            "create": "create",
            "diff": "diff",
            "exec": "exec",
            "export": "export",
            "inspect": "container_inspect",
            "kill": "kill",
            "logs": "logs",
            "ls": "ps",
            "list": "ps",
            "ps": "ps",
            "pause": "pause",
            "port": "port",
            "prune": "container_prune",
            "rename": "rename",
            "restart": "restart",
            "rm": "rm",
            "remove": "rm",
            "run": "run",
            "start": "start",
            "stats": "stats",
            "stop": "stop",
            "top": "top",
            "unpause": "unpause",
            "update": "update",
            "wait": "wait",
        },
    ),
    "image": (
        "Manage images",
        {
            "build": "build",
            "copy": "image_copy",
            "diff": "image_diff",
            "history": "history",
            "import": "import_",
            "inspect": "image_inspect",
            "load": "load",
            "ls": "images",
            "list": "images",
            "mount": "image_mount",
            "prune": "image_prune",
            "pull": "pull",
            "push": "push",
            "rm": "rmi",
            "remove": "rmi",
            "save": "save",
            "squash": "image_squash",
            "tag": "tag",
            "unmount": "image_unmount",
            "umount": "image_unmount",
            "untag": "untag",
        },
    ),
    "manifest": (
        "Manage image manifests and manifest lists",
        {
            "annotate": "manifest_annotate",
            "create": "manifest_create",
            "inspect": "manifest_inspect",
            "push": "manifest_push",
            "rm": "manifest_rm",
        },
    ),
    "network": (
        "Manage networks",
        {
            "connect": "network_connect",
            "create": "network_create",
            "disconnect": "network_disconnect",
            "inspect": "network_inspect",
            "ls": "network_ls",
            "list": "network_ls",
            "prune": "network_prune",
            "reload": "network_reload",
            "rm": "network_rm",
            "remove": "network_rm",
        },
    ),
    "secret": (
        "Manage secrets",
        {
            "create": "secret_create",
            "exists": "secret_exists",
            "inspect": "secret_inspect",
            "ls": "secret_ls",
            "list": "secret_ls",
            "rm": "secret_rm",
            "remove": "secret_rm",
        },
    ),
    "system": (
        "Manage knarr",
        {
            "boot": "system_boot",
            "check": "system_check",
            "df": "system_df",
            "dial-stdio": "system_dial_stdio",
            "events": "events",
            "info": "info",
            "prune": "system_prune",
            "unit": "system_unit",
        },
    ),
    "volume": (
        "Manage volumes",
        {
            "clone": "volume_clone",
            "create": "volume_create",
            "exists": "volume_exists",
            "export": "volume_export",
            "import": "volume_import",
            "inspect": "volume_inspect",
            "ls": "volume_ls",
            "list": "volume_ls",
            "prune": "volume_prune",
            "rename": "volume_rename",
            "restore": "volume_restore",
            "rm": "volume_rm",
            "remove": "volume_rm",
            "snapshot": "volume_snapshot",
            "snapshots": "volume_snapshots",
        },
    ),
}


# Commands that begin with the start of a supervisor, whose imports then overlap with their own.
SPAWNING = frozenset(("run",))


def find(name: str) -> str | None:
    """Return the module of the top-level command `name`."""
    entry = COMMON.get(name) or COMMANDS.get(name)
    return entry[0] if entry else None


def line(module: str) -> str:
    """Return the line about the command in `module`."""
    for entries in (COMMON, COMMANDS):
        for home, text in entries.values():
            if home == module:
                return text
    return GROUPED[module]


def paths(module: str) -> list[str]:
    """Return every way to call the command in `module`, those in groups first."""
    grouped = [
        f"{group} {name}"
        for group, (_, members) in GROUPS.items()
        for name, home in members.items()
        if home == module
    ]
    top = [name for table in (COMMON, COMMANDS) for name in table if table[name][0] == module]
    return grouped + top


def modules() -> list[str]:
    """Return every module once."""
    homes = [entry[0] for table in (COMMON, COMMANDS) for entry in table.values()]
    homes += [home for _, members in GROUPS.values() for home in members.values()]
    return sorted(set(homes))
