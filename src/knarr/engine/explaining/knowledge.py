"""What is known of signals and programs in general, whatever the container."""

from __future__ import annotations

SIGNALS = {
    1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS",
    8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE",
    14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS",
}  # fmt: skip
SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh", "ksh", "fish"))
PROMPTS = frozenset(("python", "python3", "node", "irb", "psql", "redis-cli", "mysql", "lua"))

# Programs that go to the background unless an argument says otherwise: how, and what says so.
DAEMONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "nginx": ("nginx -g 'daemon off;'", ("daemon off;",)),
    "apachectl": ("apachectl -D FOREGROUND", ("FOREGROUND", "-DFOREGROUND")),
    "apache2ctl": ("apache2ctl -D FOREGROUND", ("FOREGROUND", "-DFOREGROUND")),
    "httpd": ("httpd -D FOREGROUND, of busybox httpd -f", ("FOREGROUND", "-DFOREGROUND", "-f")),
    "sshd": ("sshd -D", ("-D",)),
    "crond": ("crond -f", ("-f", "-n")),
    "cron": ("cron -f", ("-f",)),
    "php-fpm": ("php-fpm -F", ("-F", "--nodaemonize")),
    "telnetd": ("telnetd -F", ("-F",)),
    "syslogd": ("syslogd -n", ("-n",)),
    "vsftpd": ("vsftpd -obackground=NO", ("-obackground=NO",)),
    "dnsmasq": ("dnsmasq -k", ("-k", "-d", "--keep-in-foreground")),
    "named": ("named -g", ("-g", "-f")),
    "postfix": ("postfix start-fg", ("start-fg",)),
    "supervisord": ("supervisord -n", ("-n", "--nodaemon")),
    "service": ("run the server itself, as the service's script does, without `service`", ()),
    "systemctl": ("run the server itself, as its unit does, without systemctl", ()),
}


def span_words(span: float) -> str:
    """Return a span of time in words, exact where it is short."""
    if span < 1.0:
        return f"{span * 1000:.0f} ms"
    if span < 10.0:
        return "1 second" if round(span, 1) == 1 else f"{round(span, 1):g} seconds"
    from knarr.util.text import human_duration  # noqa: PLC0415 - for words alone

    return human_duration(span).lower()
