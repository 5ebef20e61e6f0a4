"""How the modules of this package say that a text is wrong, before its place is known.

A `Fault` is raised where a word is read; `document.py` knows the line and turns it into the
SyntaxFault that leaves this package. `word` is the piece of text at fault, as written, by which
the column is found.
"""

from __future__ import annotations


class Fault(Exception):
    """The text is wrong; where it stands is added by who knows."""

    def __init__(self, message: str, *, word: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.word = word
        self.hint = hint
