"""The parent's part in the making of a container, from the birth of its init until that is ready.

Both work at the same time. The child mounts; the parent maps its users, makes the cgroups of v1,
sets limits, and then answers what the child asks for, which init may not do itself: mounts to be
opened or mapped, hooks to be run on the host's side.
"""

from __future__ import annotations

import os

from knarr.errors import Failed
from knarr.linux import namespaces
from knarr.runtime import birth, cgroups, device_rules
from knarr.runtime import channel as talk
from knarr.runtime.failures import failed
from knarr.runtime.steps import outside
from knarr.runtime.steps.mounts import Bind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.runtime.birth import Newborn
    from knarr.runtime.cgroups import Cgroup
    from knarr.runtime.create import Request
    from knarr.runtime.plan import Plan


def joins_users(plan: Plan) -> bool:
    """Tell whether init begins in a user namespace, from where it may not enter cgroups."""
    return any(name == "user" for name, _ in plan.namespaces.joined)


def place(plan: Plan, group: Cgroup, child: Newborn, made: list[str]) -> None:
    """Map the child's users, and put it into its cgroups with their limits."""
    try:
        if plan.namespaces.made & namespaces.CLONE_NEWUSER:
            outside.map_users(plan.namespaces, child.pid)
            child.channel.send(talk.MAPPED)
    except OSError as error:
        doing = "mapping the users of the container"
        raise failed(doing, error) from error
    ours = (place for place in group.places if place.version == 1)
    cgroups.make(ours, plan.controllers(), made)
    cgroups.apply(group, plan.writes)
    device_rules.restrict(group, plan.device_rules)
    if joins_users(plan):
        cgroups.put([place for place in group.places if place.version == 1], child.pid)
    child.channel.send(talk.PLACED)


def accompany(request: Request, plan: Plan, child: Newborn) -> int:
    """Do the parent's part until the child is ready; return the terminal's master or -1."""
    master_fd = -1
    while True:
        message, descriptor = child.channel.receive_noting(request.note)
        if message == talk.MOUNTED:
            _finish(request, plan, child)
            child.channel.send(talk.GO)
        elif message[:1] == (talk.MAP_MOUNT,):
            from knarr.runtime import errands  # noqa: PLC0415 - for few containers

            errands.map_mount(_bind_of(plan, message[1]), descriptor)
            child.channel.send(talk.MOUNT_MAPPED)
        elif message[:1] == (talk.OPEN_MOUNT,):
            from knarr.runtime import errands  # noqa: PLC0415 - as above

            mount_fd = errands.open_mount(_bind_of(plan, message[1]), child.pid)
            child.channel.send(talk.MOUNT_OPENED, mount_fd)
            os.close(mount_fd)
        elif message == talk.TERMINAL:
            master_fd = descriptor
        elif message == talk.READY:
            return master_fd
        elif message:
            talk.raise_error(message)
        else:
            raise _died(child)


def _finish(request: Request, plan: Plan, child: Newborn) -> None:
    """Do what is done from outside when everything is mounted: devices, hooks, scores, limits."""
    outside.do_all(plan.net_devices, child.pid)
    state = request.state("creating", child.pid)
    for moment in ("prestart", "createRuntime"):
        for hook in plan.hooks.get(moment, ()):
            hook.run(state)
    outside.do_all(plan.scores, child.pid)
    if plan.namespaces.has("user"):
        outside.do_all(plan.limits, child.pid)


def _bind_of(plan: Plan, number: str) -> Bind:
    """Return the step of init's that an errand is about."""
    step = plan.mounting[int(number)]
    assert isinstance(step, Bind)
    return step


def _died(child: Newborn) -> Failed:
    """Return the error for a child that ended without a word."""
    message = "the container's init was killed before it was ready"
    if not birth.was_killed(child):
        return Failed(message)
    hint = "Is the memory limit too low? Init itself needs some megabytes."
    return birth.KilledAtBirth(message, hint=hint)
