"""When a container is started again: Docker's rules as a table. Pure.

| policy         | exit 0, by itself | exit ≠ 0, by itself             | wanted (stop, kill) |
|----------------|-------------------|---------------------------------|---------------------|
| no             | stays             | stays                           | stays               |
| on-failure[:n] | stays             | again, n times (0: without end) | stays               |
| unless-stopped | again             | again                           | stays               |
| always         | again             | again                           | stays               |

`always` and `unless-stopped` differ only after a reboot, which is the engine's business.

The delay before a start is the policy's minimum (100 ms), multiplied by its factor (two) each time
up to the maximum (one minute). A run of ten seconds or more makes the next delay the minimum again;
it does not give back the retries of `on-failure`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.messages import RestartPolicy


class Restarts:
    """Decides after each exit; remembers the delay and how often it was started again."""

    __slots__ = ("_delay", "count", "demanded", "policy")

    def __init__(self, policy: RestartPolicy, *, count: int = 0) -> None:
        """Follow `policy`; `count` restarts were made before."""
        self.policy = policy
        self.count = count
        self.demanded = False  # the next exit is followed by a start, whatever the policy says
        self._delay = 0.0

    def decide(self, exit_code: int, *, ran: float, wanted: bool) -> float | None:
        """Return the seconds to wait before the next start, or None if there is to be none.

        `ran` is how long the container ran, in seconds; `wanted` whether somebody stopped it.
        """
        policy = self.policy
        if ran >= policy.reset_after:
            self._delay = 0.0
        delay = self._delay * policy.factor if self._delay else policy.minimum_delay
        self._delay = min(delay, policy.maximum_delay)
        demanded, self.demanded = self.demanded, False
        if wanted or not (demanded or self._applies(exit_code)):
            return None
        self.count += 1
        return self._delay

    def _applies(self, exit_code: int) -> bool:
        if self.policy.name == "on-failure":
            maximum = self.policy.maximum_retries
            return exit_code != 0 and (maximum == 0 or self.count < maximum)
        return self.policy.name in ("always", "unless-stopped")
