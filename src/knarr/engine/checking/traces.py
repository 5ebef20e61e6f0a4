"""What the kernel has of containers, beside the records: groups, mounts, interfaces, rules, ports.

All of it should end with the container: a control group is removed, an interface dies with its
network namespace, no mount is ever made where others see it. What is there nevertheless was left
by a crash, or was made, or removed, by somebody else.
"""

from __future__ import annotations

from knarr.engine import recovery
from knarr.engine.checking.findings import Check, Finding
from knarr.engine.container import groups, tasks
from knarr.engine.image import mounting
from knarr.engine.network.rules import Rules
from knarr.linux import mount, mounttable, rtnetlink
from knarr.network.ports import is_free
from knarr.network.sandbox import Host
from knarr.store.containers import ContainerRecords
from knarr.store.ports import PortRecords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from knarr.engine.engine import Engine
    from knarr.linux.rtnetlink import Link

GROUP, MOUNT, INTERFACE, BRIDGE = "control group", "mount", "interface", "bridge"


def find_groups(engine: Engine) -> Iterable[Finding]:
    """Yield control groups of containers that do not run."""
    for path in groups.strays(engine, recovery.at_work):
        problem = "it is no running container's"
        yield Finding(GROUP, path, problem, "kill what is left in it, and remove it")


def remove_groups(engine: Engine, found: Sequence[Finding]) -> None:
    """Remove control groups with everything in them."""
    del engine
    for finding in found:
        groups.remove(finding.object)


def find_mounts(engine: Engine) -> Iterable[Finding]:
    """Yield mounts on our directories that everybody on the host sees."""
    paths = engine.paths
    ours = (paths.containers_dir, paths.tasks_dir, paths.layers_dir)
    for point in [one.point for one in reversed(mounttable.mounted())]:  # those on top first
        if point.startswith(tuple(f"{directory}/" for directory in ours)):
            yield Finding(MOUNT, point, "nothing is ever mounted there", "unmount it")
    for shown in mounting.mounts(paths):
        if engine.images.records.find(shown.image) is None:
            problem = f"it shows image {shown.image.short}, which is not here any more"
            yield Finding(MOUNT, shown.path, problem, "unmount it")


def unmount(engine: Engine, found: Sequence[Finding]) -> None:
    """Detach mounts, whoever uses them."""
    del engine
    for finding in found:
        mount.umount2(finding.object, mount.MNT_DETACH)


def find_endpoints(engine: Engine) -> Iterable[Finding]:
    """Yield addresses that are kept for containers that do not run."""
    names = _names(engine)
    for sandbox_id in recovery.dead_sandboxes(engine):
        addresses = " ".join(one.address for one in engine.networks.endpoints(sandbox_id))
        problem = f"its address {addresses} is taken, and it does not run"
        name = names.get(sandbox_id, sandbox_id[:12])
        yield Finding("endpoint", name, problem, "release the address and its ports")


def release(engine: Engine, found: Sequence[Finding]) -> None:
    """Release what sandboxes have that are no longer."""
    del found
    dead = recovery.dead_sandboxes(engine)
    engine.networks.release_dead(lambda one: one not in dead)


def find_links(engine: Engine) -> Iterable[Finding]:
    """Yield interfaces on our bridges that nobody has, and those that are missing."""
    networks = engine.networks
    recorded = networks.recorded()
    if not recorded:
        return
    with Host() as host:
        links = rtnetlink.links(host.socket)
    bridges = _bridges(links, networks.bridges.realm.prefix)
    known = {network.interface for network in recorded}
    for link in bridges.values():
        if link.name not in known:
            yield Finding(BRIDGE, link.name, "no network is recorded for it", "remove it")
    endpoints = [one for network in recorded for one in networks.members(network)]
    kept = {one.host_interface for one in endpoints}
    for link in links:
        if link.master in bridges and link.name not in kept:
            yield Finding(INTERFACE, link.name, "it is no container's", "remove it")
    there, names = {link.name for link in links}, _names(engine)
    for one in endpoints:
        if one.host_interface in ("", *there) or one.sandbox_id not in names:
            continue
        if tasks.read_state(engine.paths, one.sandbox_id).active:
            problem = f"its interface in the network {one.network_name} is gone"
            yield Finding("endpoint", names[one.sandbox_id], problem)


def _bridges(links: Iterable[Link], prefix: str) -> dict[int, Link]:
    """Return the bridges that are named as ours, by their index."""
    return {
        link.index: link
        for link in links
        if link.kind == "bridge" and link.name.removeprefix(prefix).isdecimal()
    }


def remove_links(engine: Engine, found: Sequence[Finding]) -> None:
    """Remove interfaces, and bridges with all that is connected to them."""
    del engine
    with Host() as host:
        for finding in found:
            if finding.kind == BRIDGE:
                host.remove_bridge(finding.object)
            else:
                host.remove_link(finding.object)


def find_rules(engine: Engine) -> Iterable[Finding]:
    """Yield the table of rules if it is not what the records say."""
    networks = engine.networks
    with Host() as host:
        if not _bridges(rtnetlink.links(host.socket), networks.bridges.realm.prefix):
            return  # no network was used since the host was booted
    rules: Rules = networks.rules
    count = rules.count_differences()
    if count:
        problem = f"{count} of its elements are not what the records say"
        yield Finding("firewall", f"table {rules.table.name}", problem, "load the rules anew")


def reload(engine: Engine, found: Sequence[Finding]) -> None:
    """Make the table of rules what the records say."""
    del found
    engine.networks.reload()


def find_ports(engine: Engine) -> Iterable[Finding]:
    """Yield published ports that another program of the host could take at any moment."""
    names = _names(engine)
    for row in PortRecords(engine.database).all():
        if row.container not in names or not tasks.read_state(engine.paths, row.container).active:
            continue
        if is_free(row.protocol, row.host_ip, row.host_port):
            problem = f"{names[row.container]} publishes it, and no supervisor holds it"
            where = f"{row.host_ip}:{row.host_port}/{row.protocol}"
            yield Finding("port", where, problem)


def _names(engine: Engine) -> dict[str, str]:
    return {row.id: row.name for row in ContainerRecords(engine.database).all()}


CHECKS = (
    Check(find_groups, remove_groups),
    Check(find_mounts, unmount),
    Check(find_endpoints, release),
    Check(find_links, remove_links),
    Check(find_rules, reload),
    Check(find_ports),
)
