"""knarr login."""

from __future__ import annotations

from knarr.cli.command import Command, Option
from knarr.errors import InvalidArgument, Unauthorized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.command import Context, Options
    from knarr.engine.registries import LoggedIn

COMMAND = Command(
    short="Authenticate to a registry",
    usage="[OPTIONS] [SERVER]",
    options=(
        Option("password", "Password or Personal Access Token (PAT)", kind="string", short="p"),
        Option("password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
        Option("username", "Username", kind="string", short="u"),
    ),
    maximum=1,
    long="Authenticate to a registry. Defaults to Docker Hub if no server is specified.",
)
# No password is as long; a file piped in by mistake is.
MAX_PASSWORD = 64 << 10
INSECURE = "WARNING! Using --password via the CLI is insecure. Use --password-stdin."
UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{path}'.
Configure a credential helper to remove this warning: see "Credentials" in docs/registries.md.
"""


def run(context: Context, options: Options, arguments: list[str]) -> int:
    server = arguments[0] if arguments else ""
    username, secret = options.text("username"), options.text("password")
    if options.given("password"):
        if options.flag("password-stdin"):
            message = "conflicting options: cannot specify both --password and --password-stdin"
            raise InvalidArgument(message)
        if not secret:
            message = "password is empty"
            raise InvalidArgument(message)
        context.warn(INSECURE)
    if options.flag("password-stdin"):
        secret = _piped(username)
    if not username and not secret and _again(context, server):
        return 0
    if not username or not secret:
        username, secret = _asked(context, username, secret)
    done = context.engine.registries.login(server, username, secret)
    _tell(context, done)
    return 0


def _piped(username: str) -> str:
    """Return the password on standard input."""
    if not username:
        message = "the --password-stdin option requires --username to be set"
        raise InvalidArgument(message)
    import sys  # noqa: PLC0415 - not for --help

    secret = sys.stdin.read(MAX_PASSWORD + 1).removesuffix("\n").removesuffix("\r")
    if not secret or len(secret) > MAX_PASSWORD:
        message = "password is empty" if not secret else "the password on stdin has no end"
        raise InvalidArgument(message)
    return secret


def _again(context: Context, server: str) -> bool:
    """Try the credentials that are kept already; tell whether they are good."""
    registries = context.engine.registries
    username = registries.username(server)
    if username is None:
        return False
    context.warn(
        f"Authenticating with existing credentials... [Username: {username}]\n\n"
        " Info -> To login with a different account,"
        " run 'knarr logout' followed by 'knarr login'\n"
    )
    try:
        registries.login_again(server)
    except Unauthorized as error:
        context.warn(f"Login did not succeed, error: {error}")
        return False
    context.print("\nLogin Succeeded")
    return True


def _asked(context: Context, username: str, secret: str) -> tuple[str, str]:
    """Return what a person types."""
    import sys  # noqa: PLC0415 - as above

    if not sys.stdin.isatty():
        message = "cannot perform an interactive login from a non TTY device"
        raise InvalidArgument(
            message, hint="Pipe the password in: --username with --password-stdin."
        )
    try:
        if not username:
            context.print("Username: ", end="")
            context.stdout.flush()
            username = sys.stdin.readline().strip()
            if not username:
                message = "username is required"
                raise InvalidArgument(message)
        if not secret:
            from getpass import getpass  # noqa: PLC0415 - for who is asked

            secret = getpass("Password: ", stream=context.stdout)
    except EOFError:
        secret = ""
    if not secret:
        message = "password is required"
        raise InvalidArgument(message)
    return username, secret


def _tell(context: Context, done: LoggedIn) -> None:
    if done.helper is None:
        context.warn(UNENCRYPTED.format(path=done.path))
    context.print("Login Succeeded")
