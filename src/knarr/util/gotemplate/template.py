"""Go's text/template, as Docker's `--format` has it.

    template = parse('{{.Name}}: {{range $i, $v := .Items}}{{if $i}}, {{end}}{{$v}}{{end}}')
    template.render({"Name": "x", "Items": ["a", "b"]})

Data is what JSON can hold; a field may also be a function, called when it is used, with arguments
if the template gives any (`{{.Label "version"}}`). A dict that has an attribute `optional` with
names of fields has nothing under those that are not in it, where others give an error. There are
all of Go's actions, its functions but `call`, and Docker's (`json`, `join`, `split`, `lower`,
`upper`, `title`, `pad`, `truncate`).

The parts: `lexer` and `parser` make nodes of text, `expressions` gives
values, `nodes` text; `functions` has what can be called, `printing` how Go prints a value.
"""

from __future__ import annotations

from knarr.util.gotemplate.expressions import Run
from knarr.util.gotemplate.functions import HEADER_FUNCTIONS
from knarr.util.gotemplate.nodes import write_all
from knarr.util.gotemplate.parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.util.gotemplate.nodes import Writer


class Template:
    """A template ready to be filled in, any number of times."""

    def __init__(self, nodes: Sequence[Writer]) -> None:
        """Keep the parsed `nodes`; use `parse` to make a template."""
        self._nodes = nodes

    def render(self, data: object, *, header: bool = False) -> str:
        """Return the text for `data`; with `header` functions leave the names of columns alone.

        Raises: SyntaxFault
        """
        run = Run(data, HEADER_FUNCTIONS if header else {})
        write_all(self._nodes, run)
        return "".join(run.parts)


def parse(text: str) -> Template:
    """Return the template of `text`.

    Raises: SyntaxFault
    """
    return Template(Parser(text).parse())
