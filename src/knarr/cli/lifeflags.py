"""Options of `create` and `run` about a container's life, as data; `knarr.cli.living` reads them.

Those that Docker does not know are Podman's or knarr's own.
"""

from __future__ import annotations

from knarr.cli.command import Option

HEALTH = (
    Option("health-cmd", "Command to run to check health", kind="string"),
    Option("health-http", "Check health by a request for [http://[ADDRESS]:]PORT[/PATH], without "
                          "any program in the container", kind="string", metavar="url"),
    Option("health-interval", "Time between running the check (ms|s|m|h) (default 0s)",
           kind="duration"),
    Option("health-on-failure", 'What to do with an unhealthy container ("none", "kill", '
                                '"restart", "stop")', kind="string",
           completes="none kill restart stop"),
    Option("health-retries", "Consecutive failures needed to report unhealthy", kind="int"),
    Option("health-start-interval", "Time between running the check during the start period "
                                    "(ms|s|m|h) (default 0s)", kind="duration"),
    Option("health-start-period", "Start period for the container to initialize before starting "
                                  "health-retries countdown (ms|s|m|h) (default 0s)",
           kind="duration"),
    Option("health-tcp", "Check health by connecting to [ADDRESS:]PORT, without any program in "
                         "the container", kind="string", metavar="port"),
    Option("health-timeout", "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
           kind="duration"),
    Option("no-healthcheck", "Disable any container-specified HEALTHCHECK"),
)  # fmt: skip

PODMAN = (
    Option("env-host", "Give the container the host's environment, where neither the image nor "
                       "--env has a word"),
    Option("replace", "Remove a container of the same name first"),
    Option("rootfs", "The first argument is a directory with a root file system, not an image; "
                     "it is not changed"),
    Option("secret", "Give the container a secret, as a file or a variable", kind="list",
           metavar="secret"),
    Option("timeout", "Kill the container after so many seconds (0 for never)", kind="int"),
    Option("tz", "Set the timezone, like Europe/Berlin, or local for the host's", kind="string"),
    Option("unsetenv", "Leave a variable of the image out of the environment", kind="list"),
    Option("umask", "Set the umask of the program, in octal digits", kind="string"),
)  # fmt: skip
