"""The instructions of a build one after the other, as the classic builder told of them.

What the solver does is a graph; whoever wants `Step 2/5 : RUN make` needs to know which
instructions there are, in the order of the file, and which vertex each of them is. An instruction
that changes the config alone is no vertex.
"""

from __future__ import annotations

from knarr.build.events import Planned, Step
from knarr.build.graph import in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from knarr.build.dockerfile.program import Program
    from knarr.build.graph import Vertex
    from knarr.build.stage import StageState


def list_steps(program: Program, states: Mapping[int, StageState], target: Vertex) -> Planned:
    """Return the instructions of the stages that `target` was found to need."""
    of_line = {vertex.first: vertex.digest for vertex in in_order(target) if vertex.first}
    steps = []
    for stage in program.stages:
        if stage.index not in states:
            continue
        head = stage.head.node
        steps.append(Step(stage.index, head.text, base=states[stage.index].base_image or "scratch"))
        steps += [
            Step(stage.index, each.node.text, vertex=of_line.get(each.node.first, ""))
            for each in stage.instructions
        ]
    return Planned(tuple(steps))
