"""Options that cannot be, or not together: what Docker's daemon refuses at create."""

from __future__ import annotations

from knarr.engine.options import values
from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.options.values import Options


def check_options(options: Options, *, processors: int) -> None:
    """Raise for what no container can be made with.

    Raises: InvalidArgument
    """
    _check_together(options)
    if options.log != values.LogSettings():
        from knarr.engine.options.logging import check_log  # noqa: PLC0415 - for few containers

        check_log(options.log)
    if options.healthcheck is not None or options.health_on_failure:
        from knarr.engine.options.health import check_health  # noqa: PLC0415 - for few containers

        check_health(options)
    if options.resources != values.Resources():
        from knarr.engine.options import limits  # noqa: PLC0415 - for few containers

        limits.check_resources(options.resources, processors=processors)
    if options.restart != values.RestartPolicy():
        from knarr.engine.options.restart import check_restart  # noqa: PLC0415 - for few

        check_restart(options.restart)
    if options.networking.shared or options.namespaces != values.Namespaces():
        from knarr.engine.options import namespaces  # noqa: PLC0415 - for few containers

        namespaces.check_namespaces(options.namespaces)
        namespaces.check_shared(options)
    if options.hostname or options.stop_signal:
        from knarr.engine.options import names  # noqa: PLC0415 - for few containers

        names.check_hostname(options.hostname)
        if options.stop_signal:
            names.parse_signal(options.stop_signal)


def _check_together(options: Options) -> None:
    message = ""
    if options.auto_remove and options.restart.name != "no":
        message = "conflicting options: cannot specify both --restart and --rm"
    elif options.working_dir and not options.working_dir.startswith("/"):
        message = (
            f"the working directory '{options.working_dir}' is invalid, it needs to be an "
            "absolute path"
        )
    elif options.networking.asks_addresses and not options.networking.has_ports:
        message = "conflicting options: an address needs a network with addresses"
    elif options.networking.egress is not None and options.networking.shared:
        message = "conflicting options: --egress and the network of the host or another container"
    elif options.shm_size < 0:
        message = "SHM size can not be less than 0"
    elif not -1000 <= options.resources.oom_score_adj <= 1000:
        message = (
            f"invalid value {options.resources.oom_score_adj}, range for oom score adj is "
            "[-1000, 1000]"
        )
    if message:
        raise InvalidArgument(message)
