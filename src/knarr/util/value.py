"""Frozen records that cost almost nothing to define.

`dataclasses` costs 12 ms to import and half a millisecond for each class; a process that lives for
forty milliseconds cannot pay that. A `Value` is declared the same way, type checkers treat it the
same way (`dataclass_transform`, PEP 681), and defining one costs some twenty microseconds:

    class Platform(Value):
        os: str
        architecture: str
        variant: str = ""

Fields are slots, in order of declaration, those of the base class first. Fields cannot be set after
`__init__`; `replace` makes a changed copy. Equality and hash are by class and fields. A class may
define `validate`, which runs at the end of `__init__` and raises for impossible contents.

A default must be immutable: it is shared by all instances.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_: object):
        """Stand in for the decorator of the same name, which only type checkers read."""
        return lambda decorated: decorated


_set = object.__setattr__


@dataclass_transform(eq_default=True, frozen_default=True)
class ValueType(type):
    """The class of value classes: turns annotations into slots and collects defaults."""

    _fields: tuple[str, ...]
    _defaults: dict[str, object]

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> ValueType:
        """Make the class `name` with one slot for each annotated name of its body."""
        fields: list[str] = []
        defaults: dict[str, object] = {}
        for base in bases:
            fields += getattr(base, "_fields", ())
            defaults.update(getattr(base, "_defaults", {}))
        own = [
            field
            for field, annotation in namespace.get("__annotations__", {}).items()
            if not str(annotation).startswith(("ClassVar", "typing.ClassVar"))
        ]
        for field in own:
            if field in namespace:
                defaults[field] = namespace.pop(field)
        namespace["__slots__"] = tuple(field for field in own if field not in fields)
        created = super().__new__(mcs, name, bases, namespace)
        created._fields = (*fields, *namespace["__slots__"])
        created._defaults = defaults
        return created


class Value(metaclass=ValueType):
    """A record whose fields are set once. See the module for how to declare one."""

    if not TYPE_CHECKING:  # the checker derives the constructor from the annotations

        def __init__(self, *args, **given):
            """Set every field from `args`, `given` or its default."""
            cls = type(self)
            fields = cls._fields
            if len(args) > len(fields):
                message = f"{cls.__name__} takes {len(fields)} values, {len(args)} given"
                raise TypeError(message)
            for field, value in zip(fields, args, strict=False):
                if field in given:
                    message = f"{cls.__name__}: {field} given twice"
                    raise TypeError(message)
                _set(self, field, value)
            defaults = cls._defaults
            for field in fields[len(args) :]:
                if field in given:
                    _set(self, field, given.pop(field))
                elif field in defaults:
                    _set(self, field, defaults[field])
                else:
                    message = f"{cls.__name__}: {field} is missing"
                    raise TypeError(message)
            if given:
                message = f"{cls.__name__} has no field {next(iter(given))}"
                raise TypeError(message)
            self.validate()

    def validate(self) -> None:
        """Raise if the fields do not go together; the plain value accepts anything."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the fields named in `changes` set to other values."""
        fields = {field: getattr(self, field) for field in type(self)._fields}
        return type(self)(**{**fields, **changes})

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a value never changes."""
        message = f"{type(self).__name__} is a value: use replace({name}=…)"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> None:
        """Refuse: a value never changes."""
        message = f"{type(self).__name__} is a value: {name} cannot be deleted"
        raise AttributeError(message)

    def __eq__(self, other: object) -> bool:
        """Tell whether `other` is of the same class and all fields are equal."""
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, f) == getattr(other, f) for f in type(self)._fields)

    def __hash__(self) -> int:
        """Hash the class and the fields."""
        return hash((type(self), *(getattr(self, f) for f in type(self)._fields)))

    def __repr__(self) -> str:
        """Show the value as the call that makes it."""
        fields = ", ".join(f"{f}={getattr(self, f)!r}" for f in type(self)._fields)
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by way of the constructor."""
        return type(self), tuple(getattr(self, f) for f in type(self)._fields)
