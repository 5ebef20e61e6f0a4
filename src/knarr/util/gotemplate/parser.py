"""Text to template: a recursive descent that makes nodes of tokens."""

from __future__ import annotations

from knarr.util.gotemplate.expressions import (
    Call,
    Dot,
    Expression,
    Field,
    Literal,
    Pipeline,
    Variable,
)
from knarr.util.gotemplate.functions import FUNCTIONS
from knarr.util.gotemplate.lexer import Source, Token
from knarr.util.gotemplate.nodes import (
    Action,
    Branch,
    BreakLoop,
    ContinueLoop,
    Invoke,
    Jump,
    Range,
    Text,
)
from knarr.util.gotemplate.printing import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.util.gotemplate.nodes import Writer

KEYWORDS = frozenset((
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
))  # fmt: skip
CALLABLE = frozenset((*FUNCTIONS, "and", "or"))
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
CONSTANTS: dict[str, object] = {"true": True, "false": False, "nil": None}


class Literals:
    """Constants as Go writes them."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def constant(self, token: Token) -> object:
        """Return the value of a constant."""
        if token.kind == "string":
            return self._string(token)
        if token.kind == "number":
            return self._number(token)
        if token.kind == "word" and token.text in CONSTANTS:
            return CONSTANTS[token.text]
        if token.kind == "word" and token.text not in KEYWORDS:
            raise self.source.fault(token.at, f'function "{token.text}" not defined')
        raise self.source.fault(token.at, f"unexpected {token} in operand")

    def _number(self, token: Token) -> int | float:
        for convert in (lambda text: int(text, 0), float):
            try:
                number: int | float = convert(token.text)
            except ValueError:
                continue
            return number
        raise self.source.fault(token.at, f'bad number syntax: "{token.text}"')

    def _string(self, token: Token) -> str | int:
        body = token.text[1:-1]
        if token.text[0] == "`":
            return body
        rest = iter(body)
        text = "".join(self._escape(token, rest) if c == "\\" else c for c in rest)
        if token.text[0] == "'":
            if len(text) != 1:
                raise self.source.fault(token.at, f"malformed character constant: {token.text}")
            return ord(text)
        return text

    def _escape(self, token: Token, rest: Iterator[str]) -> str:
        letter = next(rest, "")
        if letter in ESCAPES:
            return ESCAPES[letter]
        digits = {"x": 2, "u": 4, "U": 8}.get(letter)
        if digits:
            code = "".join(next(rest, "") for _ in range(digits))
            try:
                return chr(int(code, 16))
            except ValueError:
                pass
        elif letter in ('"', "'", "\\"):
            return letter
        raise self.source.fault(token.at, f"invalid syntax: {token.text}")


class Parser:
    """Makes nodes of the pieces of a source."""

    def __init__(self, text: str) -> None:
        self.source = Source(text)
        self.literals = Literals(self.source)
        self.pieces = list(self.source.pieces())
        self.next = 0
        self.tokens: list[Token] = []
        self.end = 0  # of the action at hand
        self.variables = ["$"]
        self.loops = 0
        self.definitions: dict[str, list[Writer]] = {}  # named templates

    def parse(self) -> list[Writer]:
        """Return the nodes of the whole template."""
        nodes, word, at = self._body(outermost=True)
        if word:
            raise self.source.fault(at, f"unexpected {{{{{word}}}}}")
        return nodes

    def _body(self, *, outermost: bool = False) -> tuple[list[Writer], str, int]:
        """Return the nodes up to `end`, `else` or the end of the text, and what ended them.

        Only there where it is not within another action may a template be defined.
        """
        nodes: list[Writer] = []
        mark = len(self.variables)
        while self.next < len(self.pieces):
            kind, start, end = self.pieces[self.next]
            self.next += 1
            if kind == "text":
                nodes.append(Text(self.source.text[start:end]))
                continue
            self.tokens, self.end = self.source.tokens(start, end), end
            word = self.tokens[0].text if self.tokens and self.tokens[0].kind == "word" else ""
            if word in ("end", "else"):
                del self.variables[mark:]
                self.tokens.pop(0)
                return nodes, word, start
            if word == "define" and outermost:
                self._define(start)
            else:
                nodes.append(self._control(word, start))
        return nodes, "", len(self.source.text)

    def _control(self, word: str, start: int) -> Writer:
        if word not in KEYWORDS:
            node = Action(self._pipeline("command", start))
            self._finish()
            return node
        if word == "define":
            raise self.source.fault(start, "unexpected <define> in command")
        self.tokens.pop(0)
        if word in ("break", "continue"):
            if not self.loops:
                raise self.source.fault(start, f"{{{{{word}}}}} outside {{{{range}}}}")
            return Jump(BreakLoop if word == "break" else ContinueLoop)
        if word in ("template", "block"):
            return self._invoke(word, start)
        return self._block(word, start)

    def _define(self, start: int) -> None:
        """Keep what is between `define` and its `end` as a named template."""
        self.tokens.pop(0)
        name = self._name("define")
        self._require_end("define clause")
        self._keep(name, start)

    def _invoke(self, word: str, start: int) -> Invoke:
        """Parse `template`, or `block`, which also defines the template that it invokes."""
        place = self.source.place(self.tokens[0].at if self.tokens else start, self.end)
        name = self._name(word)
        pipeline = None
        if self.tokens or word == "block":
            pipeline = self._pipeline(f"{word} clause", start)
            self._finish()
        shown = f" {pipeline.place.text}" if pipeline else ""
        place.text = f"{{{{template {quote(name)}{shown}}}}}"
        if word == "block":
            self._keep(name, start)
        return Invoke(place, name, pipeline, self.definitions)

    def _name(self, word: str) -> str:
        if not self.tokens or self.tokens[0].kind != "string" or self.tokens[0].text[0] == "'":
            shown = self.tokens[0] if self.tokens else '"}}"'
            raise self.source.fault(self.end, f"unexpected {shown} in {word} clause")
        return str(self.literals.constant(self.tokens.pop(0)))

    def _require_end(self, context: str) -> None:
        if self.tokens:
            raise self.source.fault(self.end, f"unexpected {self.tokens[0]} in {context}")

    def _keep(self, name: str, start: int) -> None:
        """Parse up to `end` what is a world of its own: no variables, no loop around it."""
        outside = self.variables, self.loops, self.source.template
        self.variables, self.loops, self.source.template = ["$"], 0, name
        body, ended, at = self._body()
        self.variables, self.loops, self.source.template = outside
        if ended != "end":
            shown = "{{else}} in define clause" if ended else "EOF"
            raise self.source.fault(at, f"unexpected {shown}")
        if any(not _blank(node) for node in self.definitions.get(name, ())):
            if any(not _blank(node) for node in body):
                message = f'template: multiple definition of template "{name}"'
                raise self.source.fault(start, message)
            return
        self.definitions[name] = body

    def _block(self, word: str, start: int) -> Writer:
        """Parse `if`, `with` or `range` from behind that word to its `end`."""
        mark = len(self.variables)
        pipeline = self._pipeline(word, start)
        self._finish()
        self.loops += word == "range"
        body, ended, at = self._body()
        self.loops -= word == "range"
        otherwise: list[Writer] = []
        if ended == "else":
            following = self.tokens[0].text if self.tokens else ""
            if following and following == word != "range":
                self.tokens.pop(0)
                otherwise, ended = [self._block(word, at)], "end"
            else:
                self._finish()
                otherwise, ended, at = self._body()
                if ended == "else":
                    raise self.source.fault(at, "expected end; found {{else}}")
        if ended != "end":
            raise self.source.fault(at, "unexpected EOF")
        del self.variables[mark:]
        if word == "range":
            return Range(pipeline, body, otherwise)
        return Branch(pipeline, body, otherwise, sets_dot=word == "with")

    def _finish(self) -> None:
        if self.tokens:
            token = self.tokens[0]
            if token.kind == ")":
                raise self.source.fault(token.at, "unexpected right paren")
            raise self.source.fault(token.at, f"unexpected {token} in operand")

    def _pipeline(self, context: str, start: int) -> Pipeline:
        names, declares = self._declaration(context)
        first = self.tokens[0].at if self.tokens else start
        commands: list[Expression] = []
        while True:
            commands.append(self._command(context, start))
            if not (self.tokens and self.tokens[0].kind == "|"):
                break
            self.tokens.pop(0)
        for name in names:
            if declares:
                self.variables.append(name)
        end = self.tokens[0].at if self.tokens else self.end
        place = self.source.place(first, end)
        place.text = place.text.strip()
        return Pipeline(place, commands, names, declares=declares)

    def _declaration(self, context: str) -> tuple[list[str], bool]:
        """Take `$x :=`, `$x =` and, for `range`, `$i, $x :=` from the front of the tokens."""
        kinds = [token.kind for token in self.tokens[:4]]
        if kinds[:1] != ["variable"]:
            return [], False
        count = 0
        if kinds[1:2] in ([":="], ["="]):
            count = 1
        elif context == "range" and kinds[1:3] == [",", "variable"] and kinds[3] in (":=", "="):
            count = 2
        if not count:
            return [], False
        names = [token.text for token in self.tokens[: 2 * count - 1 : 2]]
        mark = self.tokens[2 * count - 1].kind
        if mark == "=":
            for token in self.tokens[: 2 * count - 1 : 2]:
                self._require_variable(token)
        del self.tokens[: 2 * count]
        return names, mark == ":="

    def _require_variable(self, token: Token) -> None:
        if token.text not in self.variables:
            raise self.source.fault(token.at, f'undefined variable "{token.text}"')

    def _command(self, context: str, start: int) -> Expression:
        """Parse operands up to `|`, `)` or the end of the action."""
        first = self.tokens[0] if self.tokens else None
        if first is None or first.kind in ("|", ")"):
            raise self.source.fault(first.at if first else start, f"missing value for {context}")
        target: Expression | str
        if first.kind == "word" and first.text not in CONSTANTS:
            if first.text not in CALLABLE:
                raise self.source.fault(first.at, f'function "{first.text}" not defined')
            self.tokens.pop(0)
            target = first.text
        else:
            target = self._operand()
        arguments = []
        while self.tokens and self.tokens[0].kind not in ("|", ")"):
            if self.tokens[0].glued and not isinstance(target, str):
                raise self.source.fault(first.at, f"unexpected {self.tokens[0]} in operand")
            arguments.append(self._operand())
        if not arguments and isinstance(target, Expression):
            return target
        end = self.tokens[0].at if self.tokens else self.end
        place, whole = (self.source.place(first.at, end) for _ in range(2))
        whole.text = whole.text.strip()
        place.text = first.text if isinstance(target, str) else target.place.text
        return Call(place, target, arguments, whole)

    def _operand(self) -> Expression:
        """Parse one value with the fields that hang on it: `.A.B`, `$x.A`, `(pipeline).A`."""
        token = self.tokens.pop(0)
        place = self.source.place(token.at, token.at + len(token.text))
        operand: Expression
        if token.kind == "field":
            operand = Field(place, Dot(place), token.text[1:])
        elif token.kind == ".":
            operand = Dot(place)
        elif token.kind == "variable":
            self._require_variable(token)
            operand = Variable(place, token.text)
        elif token.kind == "(":
            operand = self._parenthesis(token)
        elif token.kind == "word" and token.text in CALLABLE:
            operand = Call(place, token.text, ())
        else:
            operand = Literal(place, self.literals.constant(token))
        while self.tokens and self.tokens[0].kind == "field" and self.tokens[0].glued:
            field = self.tokens.pop(0)
            place = self.source.place(token.at, field.at + len(field.text))
            operand = Field(place, operand, field.text[1:])
        return operand

    def _parenthesis(self, opening: Token) -> Expression:
        inside = self._pipeline("parenthesized pipeline", opening.at)
        if not self.tokens or self.tokens.pop(0).kind != ")":
            raise self.source.fault(opening.at, "unclosed left paren")
        return inside


def _blank(node: Writer) -> bool:
    return isinstance(node, Text) and not node.text.strip()
