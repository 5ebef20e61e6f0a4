"""The two connections of a client of BuildKit: one to ask on, one to be asked on."""

from __future__ import annotations

from knarr.api.answers import Hijack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.call import Call
    from knarr.api.takeover import Taken

_H2C = ("h2c",)


def grpc(call: Call) -> Hijack:
    """Take a connection for BuildKit's services."""
    del call
    return Hijack(_serve, content_type="", protocols=_H2C, must=True)


def session(call: Call) -> Hijack:
    """Take a connection on which the client offers files, secrets and logins."""
    del call
    return Hijack(_offer, content_type="", protocols=_H2C, must=True)


def _serve(taken: Taken) -> None:
    from knarr.api.buildkit.control import serve  # noqa: PLC0415 - loads gRPC, for who builds so

    serve(taken)


def _offer(taken: Taken) -> None:
    from knarr.api.buildkit.sessions import serve  # noqa: PLC0415 - as above

    serve(taken)
