"""Restart policies as people write them.

    no | always | unless-stopped | on-failure[:RETRIES]

and behind that, after commas, how long to wait before a start: `min=1s`, `max=30s`, `factor=2` and
`reset=1m` (a run of so long makes the next wait the shortest again). Docker knows no such thing;
what is left out is as with Docker.
"""

from __future__ import annotations

from knarr.engine.options.values import RestartPolicy
from knarr.errors import InvalidArgument

RESTART_NAMES = frozenset(("no", "always", "on-failure", "unless-stopped"))
SECOND = 10**9
LONGEST = 365 * 24 * 3600.0  # seconds: longer waits are slips of the pen
_TIMES = {"min": "minimum_delay", "max": "maximum_delay", "reset": "reset_after"}


def parse_restart(text: str) -> RestartPolicy:
    """Return the policy that `text` is, which `check_restart` may know as none.

    Raises: InvalidArgument
    """
    policy_text, *tuning = text.split(",")
    name, colon, count = policy_text.partition(":")
    if colon and not name:
        message = "invalid restart policy format: no policy provided before colon"
        raise InvalidArgument(message)
    retries = 0
    if count:
        if not count.removeprefix("-").isdecimal():
            message = "invalid restart policy format: maximum retry count must be an integer"
            raise InvalidArgument(message)
        retries = int(count)
    policy = RestartPolicy(name or "no", retries)
    for word in tuning:
        policy = policy.replace(**_tuned(word))
    if policy.maximum_delay < policy.minimum_delay and "max=" not in text:
        policy = policy.replace(maximum_delay=policy.minimum_delay)
    return policy


def _tuned(word: str) -> dict[str, float]:
    from knarr.util.durations import parse_duration  # noqa: PLC0415 - for few containers

    name, _, value = word.partition("=")
    try:
        if name == "factor":
            return {name: float(value)}
        if name in _TIMES:
            return {_TIMES[name]: parse_duration(value) / SECOND}
    except ValueError as error:
        message = f"invalid restart policy: {word}: {error}"
        raise InvalidArgument(message) from error
    message = f"invalid restart policy: unknown option '{word}'"
    raise InvalidArgument(message, hint="There are min, max, factor and reset: always,min=1s.")


def check_restart(policy: RestartPolicy) -> None:
    """Raise unless there is such a policy.

    Raises: InvalidArgument
    """
    message = ""
    if policy.name not in RESTART_NAMES:
        message = (
            f"unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', or "
            "'unless-stopped'"
        )
    elif policy.maximum_retries < 0:
        message = "maximum retry count cannot be negative"
    elif policy.maximum_retries and policy.name != "on-failure":
        message = "maximum retry count can only be used with 'on-failure'"
    elif not 0.001 <= policy.minimum_delay <= policy.maximum_delay <= LONGEST:
        message = "min cannot be less than 1ms, nor max less than min, nor more than a year"
    elif not 1 <= policy.factor <= 1000:
        message = "factor is a number from 1 to 1000"
    elif policy.reset_after < 0:
        message = "reset cannot be negative"
    if message:
        message = f"invalid restart policy: {message}"
        raise InvalidArgument(message)
