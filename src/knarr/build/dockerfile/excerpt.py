"""The lines around a fault, as BuildKit shows them, with a caret under the word at fault."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.build.dockerfile.document import Source

_AROUND = 2
_RULE = "-" * 20


def excerpt(source: Source, first: int, last: int = 0, *, caret: tuple[int, int] = (0, 0)) -> str:
    """Return the lines `first` to `last` of `source` with some around them, or "" without lines.

    Lines at fault are marked `>>>`; the caret stands below line and column `caret`.
    """
    if not 1 <= first <= len(source.lines):
        return ""
    last = max(first, min(last, len(source.lines)))
    lines = [f"{source.name}:{first}", _RULE]
    for number in range(max(1, first - _AROUND), min(len(source.lines), last + _AROUND) + 1):
        mark = ">>>" if first <= number <= last else "   "
        text = _printable(source.lines[number - 1])
        lines.append(f"{number:4d} | {mark} {text}".rstrip())
        if number == caret[0] and caret[1]:
            # Tabs stay tabs, so that the caret stands where the word does.
            lead = "".join("\t" if letter == "\t" else " " for letter in text[: caret[1] - 1])
            lines.append(f"     | {'':3} {lead}^")
    lines.append(_RULE)
    return "".join(f"{line}\n" for line in lines)


def _printable(text: str) -> str:
    """Replace what a terminal would obey instead of show, letter for letter."""
    return "".join(
        letter if letter == "\t" or letter.isprintable() else "\ufffd" for letter in text
    )
