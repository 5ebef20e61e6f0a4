"""The expressions of a template: what has a value.

An expression keeps its source text and place, which an error quotes as Go does.
"""

from __future__ import annotations

from knarr.errors import SyntaxFault
from knarr.util.gotemplate.functions import ARITY, FUNCTIONS, truth
from knarr.util.gotemplate.printing import kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class NoValue:
    """What a missing entry of a map is: it prints as `text`, is false, null, and has no fields."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.text

    def document(self) -> None:
        """Return what it is in JSON."""


NO_VALUE = NoValue("<no value>")


class Run:
    """One execution: the text so far, the variables in sight, and the dot."""

    __slots__ = ("depth", "dot", "functions", "parts", "variables")

    def __init__(self, data: object, functions: Mapping[str, Callable[..., object]]) -> None:
        self.dot = data
        self.parts: list[str] = []
        self.variables: list[tuple[str, object]] = [("$", data)]
        self.functions = functions
        self.depth = 0  # of named templates within named templates

    def find(self, name: str) -> int:
        """Return the place of the innermost variable `name`; the parser has seen it declared."""
        for place in range(len(self.variables) - 1, -1, -1):
            if self.variables[place][0] == name:
                return place
        raise KeyError(name)


class Place:
    """Where in the source a node is, in which named template, and its text."""

    __slots__ = ("column", "line", "template", "text")

    def __init__(self, text: str, line: int, column: int, template: str = "") -> None:
        self.text = text
        self.line = line
        self.column = column
        self.template = template

    def fault(self, message: str) -> SyntaxFault:
        """Return the error of executing this node."""
        shown = self.text if len(self.text) <= 20 else f"{self.text[:20]}..."
        return SyntaxFault(
            f'template: :{self.line}:{self.column}: executing "{self.template}" at <{shown}>: '
            f"{message}",
            line=self.line,
            column=self.column,
        )


class Expression:
    """A node that has a value."""

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place = place

    def value(self, run: Run, final: Sequence[object] = ()) -> object:
        """Return the value; `final` holds what a pipe hands on, if anything."""
        raise NotImplementedError


class Literal(Expression):
    """A constant: a string, number, `true`, `false` or `nil`."""

    __slots__ = ("constant",)

    def __init__(self, place: Place, constant: object) -> None:
        super().__init__(place)
        self.constant = constant

    def value(self, run: Run, final: Sequence[object] = ()) -> object:  # noqa: ARG002
        """Return the value in `run`."""
        if final:
            raise self.place.fault(f"can't give argument to non-function {self.place.text}")
        return self.constant


class Variable(Expression):
    """`$name`, or `$` for the data that the template was started with."""

    __slots__ = ("name",)

    def __init__(self, place: Place, name: str) -> None:
        super().__init__(place)
        self.name = name

    def value(self, run: Run, final: Sequence[object] = ()) -> object:  # noqa: ARG002
        """Return the value in `run`."""
        return run.variables[run.find(self.name)][1]


class Dot(Expression):
    """`.`: the data at hand."""

    __slots__ = ()

    def value(self, run: Run, final: Sequence[object] = ()) -> object:  # noqa: ARG002
        """Return the value in `run`."""
        return run.dot


class Field(Expression):
    """`.Name` of what `base` gives. A field that is a function is called."""

    __slots__ = ("base", "name")

    def __init__(self, place: Place, base: Expression, name: str) -> None:
        super().__init__(place)
        self.base = base
        self.name = name

    def value(self, run: Run, final: Sequence[object] = ()) -> object:
        """Return the value in `run`."""
        holder = self.base.value(run)
        found = self._entry(holder)
        if callable(found):
            try:
                return found(*final)
            except TypeError as error:
                raise self.place.fault(f"wrong number of args for {self.name}") from error
        if final:
            raise self.place.fault(f"{self.name} has arguments but cannot be invoked as function")
        return found

    def _entry(self, holder: object) -> object:
        if isinstance(holder, dict):
            found: object = holder.get(self.name)
            if found is not None:
                return found
            absent = getattr(holder, "absent", {})  # of a record: what empty fields are
            if self.name in absent:
                return absent[self.name]
            if self.name in holder:
                return None
            # Names in capitals are fields of Docker's records, others entries of maps (labels,
            # networks), where the lack of one is no mistake of the template.
            if self.name[:1].isupper():
                raise self.place.fault(f'map has no entry for key "{self.name}"')
            return NO_VALUE
        if holder is None or isinstance(holder, NoValue):
            raise self.place.fault(f'nil data; no entry for key "{self.name}"')
        raise self.place.fault(f"can't evaluate field {self.name} in type {kind(holder)}")


class Call(Expression):
    """A command: a function or field, and its arguments.

    An error of the function shows the `whole` of it, one about their number the name alone.
    """

    __slots__ = ("arguments", "target", "whole")

    def __init__(
        self,
        place: Place,
        target: Expression | str,
        arguments: Sequence[Expression],
        whole: Place | None = None,
    ) -> None:
        super().__init__(place)
        self.target = target
        self.arguments = arguments
        self.whole = whole or place

    def value(self, run: Run, final: Sequence[object] = ()) -> object:
        """Return the value in `run`."""
        if self.target in ("and", "or"):
            return self._shortcut(run, final)
        values = [argument.value(run) for argument in self.arguments]
        values += final
        if isinstance(self.target, Expression):
            return self._value_of(self.target, run, values)
        name = self.target
        function = run.functions.get(name) or FUNCTIONS[name]
        if name not in run.functions:
            least, most = ARITY.get(name, (2, 2))
            if len(values) < least or 0 <= most < len(values):
                wanted = f"at least {least}" if most < 0 else str(least)
                raise self.place.fault(
                    f"wrong number of args for {name}: want {wanted} got {len(values)}"
                )
        try:
            return function(*values)
        except ValueError as error:
            raise self.whole.fault(str(error)) from None

    def _value_of(self, target: Expression, run: Run, values: list[object]) -> object:
        if values and not isinstance(target, Field):
            raise self.place.fault(f"can't give argument to non-function {target.place.text}")
        return target.value(run, values)

    def _shortcut(self, run: Run, final: Sequence[object]) -> object:
        """Evaluate `and` and `or` from left to right, no further than needed."""
        result: object = None
        for argument in self.arguments:
            result = argument.value(run)
            if truth(result) == (self.target == "or"):
                return result
        for result in final:
            if truth(result) == (self.target == "or"):
                return result
        return result


class Pipeline(Expression):
    """Commands joined by `|`, each handing its value to the next; perhaps kept in variables."""

    __slots__ = ("commands", "declares", "names")

    def __init__(
        self,
        place: Place,
        commands: Sequence[Expression],
        names: Sequence[str] = (),
        *,
        declares: bool = False,
    ) -> None:
        super().__init__(place)
        self.commands = commands
        self.names = names
        self.declares = declares

    def value(self, run: Run, final: Sequence[object] = ()) -> object:  # noqa: ARG002
        """Return the value in `run`."""
        result: object = None
        for index, command in enumerate(self.commands):
            result = command.value(run, (result,) if index else ())
        return result

    def keep(self, run: Run, *values: object) -> None:
        """Set the variables in front of the pipeline to the last of `values`."""
        for name, value in zip(self.names, values[len(values) - len(self.names) :], strict=True):
            if self.declares:
                run.variables.append((name, value))
            else:
                run.variables[run.find(name)] = (name, value)
