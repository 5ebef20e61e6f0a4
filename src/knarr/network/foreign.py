"""What others' rules do to our traffic, and the little that is done about it.

A packet that is forwarded has to pass every table of the host; `accept` in ours does not spare it
the others. Docker, ufw and many administrators set the policy of iptables' chain FORWARD to DROP,
each with rules for what is to pass all the same. So do we: one rule for what comes from our bridges
and one for what goes to them, at the very end of that chain, where everything else has had its say.
What may pass between our bridges is still decided in our own table.

Nothing of others is changed, moved or removed, and where the policy is ACCEPT nothing is added. A
chain of somebody's own with a policy of drop is an administrator's decision, and stays as it is.

iptables exists twice: as a language for nftables, where the chain is one among others, and with
tables of its own in the kernel (*legacy*), which only its program can change; `legacy_commands`
says how.
"""

from __future__ import annotations

from knarr.linux import nftables
from knarr.linux.nftables import Rule, Table
from knarr.linux.nftexpr import NFPROTO_IPV4, accept, counter, interface

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.linux.netlink import Request
    from knarr.linux.nfnetlink import Nftables

FILTER = Table(NFPROTO_IPV4, "filter")
FORWARD = "FORWARD"

# The fields by which a bridge is recognised, with the options of iptables for them.
_DIRECTIONS = {"iifname": "-i", "oifname": "-o"}


def openings(kernel: Nftables, prefix: str) -> list[Request]:
    """Return what lets traffic of bridges named `prefix`… pass where iptables drops by default."""
    closed = any(
        table == FILTER.name and chain.name == FORWARD and chain.hook and not chain.accepts
        for table, chain in kernel.chains(FILTER.family)
    )
    if not closed:
        return []
    there = {comment for _, comment, _ in kernel.rules(FILTER, FORWARD)}
    return [nftables.add_rule(FILTER, r) for r in _rules(prefix) if r.comment not in there]


def closings(kernel: Nftables, prefix: str) -> list[Request]:
    """Return what takes back everything that `openings` ever returned."""
    ours = {rule.comment for rule in _rules(prefix)}
    return [
        nftables.delete_rule(FILTER, chain, handle)
        for chain, comment, handle in kernel.rules(FILTER)
        if comment in ours
    ]


def legacy_commands(prefix: str, action: str) -> list[list[str]]:
    """Return the commands that check (`-C`), append (`-A`) or delete (`-D`) the rules of legacy."""
    return [
        ["iptables-legacy", "-w", action, FORWARD, option, f"{prefix}+", "-j", "ACCEPT"]
        for option in _DIRECTIONS.values()
    ]


def _rules(prefix: str) -> Iterator[Rule]:
    for field in _DIRECTIONS:
        statements = (interface(field, prefix), counter(), accept())
        yield Rule(FORWARD, f"knarr: {field} {prefix}", statements)
