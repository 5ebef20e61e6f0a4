"""What `--filter name=value` means, as far as it is the same for all lists.

Docker: the conditions of one name are alternatives, except labels, which all have to be there
"""

from __future__ import annotations

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


def parse_filters(texts: Iterable[str], known: Collection[str]) -> dict[str, list[str]]:
    """Return the values of each filter in `texts`, in the order given.

    Raises: InvalidArgument
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().lower()
        if not equals:
            message = f"bad format of filter (expected name=value): {text}"
            raise InvalidArgument(message)
        if name not in known:
            message = f"invalid filter '{name}'"
            raise InvalidArgument(message, hint=f"There are: {', '.join(sorted(known))}.")
        found.setdefault(name, []).append(value.strip())
    return found


def boolean(name: str, values: Iterable[str]) -> bool:
    """Return the truth value of a filter; given more than once, it must be the same each time.

    Raises: InvalidArgument
    """
    from knarr.util.booleans import find_boolean  # noqa: PLC0415 - few filters are such

    meant = set()
    for value in values:
        found = find_boolean(value.lower())
        if found is None:
            message = f"invalid filter '{name}={value}'"
            raise InvalidArgument(message, hint=f"It is {name}=true or {name}=false.")
        meant.add(found)
    if len(meant) != 1:
        message = f"invalid filter '{name}': it cannot be true and false"
        raise InvalidArgument(message)
    return meant.pop()


def matches_labels(wanted: Iterable[str], labels: Mapping[str, str]) -> bool:
    """Tell whether all of `wanted`, each `key` or `key=value`, are among `labels`."""
    for text in wanted:
        key, equals, value = text.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def pruning_condition(
    filters: Iterable[str], known: Collection[str] = ("until", "label", "label!")
) -> Callable[[int, Mapping[str, str]], bool]:
    """Return what tells, by creation time and labels, whether an object passes the filters.

    Docker: of several times the earliest counts

    Raises: InvalidArgument
    """
    given = parse_filters(filters, known)
    before_ns = _before(given.get("until", ()))

    def wanted(created_ns: int, labels: Mapping[str, str]) -> bool:
        return (
            (before_ns is None or created_ns < before_ns)
            and matches_labels(given.get("label", ()), labels)
            and not any(matches_labels([text], labels) for text in given.get("label!", ()))
        )

    return wanted


def _before(texts: Iterable[str]) -> int | None:
    if not texts:
        return None
    import time  # noqa: PLC0415 - for who asks for it

    from knarr.util.times import parse_when  # noqa: PLC0415 - as above

    return min(parse_when(text, now_ns=time.time_ns()) for text in texts)


def path_match(pattern: str, text: str) -> bool:
    """Tell whether `text` is matched by a pattern of Go's path.Match: `*` stops at a slash.

    Raises: InvalidArgument
    """
    import re  # noqa: PLC0415 - only for who gives a pattern

    try:
        return re.fullmatch(_translate(pattern), text, re.DOTALL) is not None
    except (re.error, IndexError) as error:
        message = f"invalid pattern: {pattern!r}"
        raise InvalidArgument(
            message, hint="A bracket is not closed, or nothing follows a \\."
        ) from error


def _translate(pattern: str) -> str:
    import re  # noqa: PLC0415 - only for who gives a pattern

    found, position = "", 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            found += "[^/]*"
        elif character == "?":
            found += "[^/]"
        elif character == "\\":
            found += re.escape(pattern[position])
            position += 1
        elif character == "[":
            end = pattern.index("]", position + 1) if "]" in pattern[position + 1 :] else -1
            if end < 0:
                raise IndexError
            inside = pattern[position:end].replace("[", r"\[").replace("&&", r"&\&")
            found += f"[{inside}]"
            position = end + 1
        else:
            found += re.escape(character)
    return found
