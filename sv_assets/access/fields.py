"""Which fields of a document a role sees. Nothing is seen that no path names.

A path is the names on the way to a value, dots between: `emails.value`; lists are passed through. `*` is any one name, a last
`**` all that lies below, and `{a,b}` either: `{email,phone}.{value,rule}`. Where several paths meet a value the most exact
one counts: names before `*`, and either before `**`.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Literal

from bson import Decimal128

from sv_assets.access.masking import HIDDEN, masked_value
from sv_assets.sealing.values import is_sealed

Treatment = Literal["clear", "masked", "hidden"]
PATH = re.compile(r"(?:\*|[A-Za-z0-9_]+)(?:\.(?:\*|[A-Za-z0-9_]+))*(?:\.\*\*)?")
_ABSENT = object()
Opened = Mapping[bytes, Any]
_NOTHING: Opened = {}
_PLAIN = frozenset({str, int, float, bool, type(None), dt.datetime, Decimal128})
"""Kinds of values with nothing below them, which most are: known without asking what else they could be."""


def expanded(path: str) -> Iterator[str]:
    """The paths that a path with braces stands for. Raises ValueError where it is none."""
    start = path.find("{")
    if start < 0:
        if not PATH.fullmatch(path):
            raise ValueError(f"{path!r} is no path: names with dots between, * for any name, ** for all below a name")
        yield path
        return
    depth, begin, parts = 0, start + 1, []
    for at in range(start, len(path)):
        depth += {"{": 1, "}": -1}.get(path[at], 0)
        if path[at] in ",}" and depth == (1 if path[at] == "," else 0):
            parts.append(path[begin:at])
            begin = at + 1
        if depth == 0:
            for part in parts:
                yield from expanded(path[:start] + part + path[at + 1 :])
            return
    raise ValueError(f"{path!r}: a brace is not closed")


class _Node:
    """A place on the way of some paths: what lies below, and what is done with a value here, or anywhere below."""

    __slots__ = ("below", "deep", "here")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.here: Treatment | None = None
        self.deep: Treatment | None = None

    @property
    def shows(self) -> bool:
        """Something is seen here or below."""
        own = any(given in ("clear", "masked") for given in (self.here, self.deep))
        return own or any(node.shows for node in self.below.values())


class _State:
    """The places that one is at, the most exact first, and the treatment that holds for all below."""

    __slots__ = ("deep", "here", "is_dead", "known", "nodes")

    def __init__(self, nodes: tuple[_Node, ...], deep: Treatment | None) -> None:
        self.nodes = nodes
        self.deep = next((node.deep for node in nodes if node.deep), deep)
        self.here = next((node.here for node in nodes if node.here), self.deep)
        self.is_dead = self.deep in (None, "hidden") and not any(node.shows for node in nodes)
        self.known: dict[str, _State] = {}

    def step(self, name: str) -> "_State":
        known = self.known.get(name)
        if known is None:
            nodes = tuple(node.below[key] for node in self.nodes for key in (name, "*") if key in node.below)
            named = any(name in node.below for node in self.nodes)
            known = _State(nodes, self.deep)
            if named or len(self.known) < 1000:  # names may be data, and there may be any number of them
                self.known[name] = known
        return known


@dataclass(frozen=True)
class Fields:
    """The declared paths of one collection, by what is done with the values there."""

    treatments: Mapping[str, Treatment]

    def __post_init__(self) -> None:
        root = _Node()
        for path, treatment in self.treatments.items():
            *names, last = path.split(".")
            node = root
            for name in names if last == "**" else [*names, last]:
                node = node.below.setdefault(name, _Node())
            if last == "**":
                node.deep = treatment
            else:
                node.here = treatment
        object.__setattr__(self, "_root", _State((root,), None))

    def of(self, document: Mapping[str, Any], opened: Opened = _NOTHING) -> dict[str, Any]:
        """What is seen of a document; `opened` as for `below`."""
        found = self.below("", document, opened=opened)
        return {} if found is None else dict(found)

    def below(self, path: str, value: Any, unseen: Any = None, opened: Opened = _NOTHING) -> Any:
        """What is seen of a value that stands at `path` of a document; `unseen` where nothing is.

        `opened` are sealed values in the clear, those that `sealed_below` gives; one that is not there stays hidden.
        """
        seen = _seen(value, self._state(path), opened)
        return unseen if seen is _ABSENT else seen

    def sealed_below(self, path: str, value: Any) -> set[bytes]:
        """The sealed values that are seen, as they are or masked, of a value that stands at `path`."""
        found: set[bytes] = set()
        _add_sealed(value, self._state(path), found)
        return found

    def _state(self, path: str) -> _State:
        state: _State = self._root  # type: ignore[attr-defined]
        for name in filter(None, path.split(".")):
            state = state.step(name)
        return state

    def treatment(self, path: str) -> Treatment | None:
        """What is done with a value at `path`; None where no path names it."""
        state = self._root  # type: ignore[attr-defined]
        for name in path.split("."):
            state = state.step(name)
        found: Treatment | None = state.here
        return found

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """The first names of the paths that are seen `clear`, and of those seen `masked`: what goes into the log."""
        return {
            treatment: sorted({path.partition(".")[0] for path, given in self.treatments.items() if given == treatment})
            for treatment in ("clear", "masked")
        }


def _seen(value: Any, state: _State, opened: Opened) -> Any:
    """What is seen of a value in this state; `_ABSENT` where nothing is. Only places that lead somewhere are entered."""
    kind = type(value)
    if kind in _PLAIN:
        return _seen_plain(value, state)
    if kind is dict or isinstance(value, Mapping):
        return _ABSENT if state.is_dead else _seen_fields(value, state, opened)
    if isinstance(value, (list, tuple)):
        if state.is_dead:
            return _ABSENT
        items = [seen for item in value if (seen := _seen(item, state, opened)) is not _ABSENT]
        return items if isinstance(value, list) else tuple(items)
    if is_sealed(value):
        if state.is_dead:
            return _ABSENT
        return _seen(opened[value], state, opened) if value in opened else HIDDEN
    if is_dataclass(value) and not isinstance(value, type):
        # A field of a dataclass cannot be left out: what is not seen is None.
        seen_fields = {f.name: _seen(getattr(value, f.name), state.step(f.name), opened) for f in fields(value)}
        return replace(value, **{name: None if seen is _ABSENT else seen for name, seen in seen_fields.items()})
    return _seen_plain(value, state)


def _seen_fields(value: Mapping[str, Any], state: _State, opened: Opened) -> dict[str, Any]:
    """Most of what a document holds are plain values that are seen as they are: a call for each was a third of the work."""
    result, known = {}, state.known
    for name, item in value.items():
        below = known.get(name) or state.step(name)
        if type(item) not in _PLAIN:
            seen = _seen(item, below, opened)
        else:
            seen = item if below.here == "clear" else _seen_plain(item, below)
        if seen is not _ABSENT:
            result[name] = seen
    return result


def _seen_plain(value: Any, state: _State) -> Any:
    if state.here == "clear":
        return value
    if state.here == "masked":
        return masked_value(value)
    # An empty place says that there is nothing: shown where something could stand below it.
    return None if value is None and any(node.below for node in state.nodes) else _ABSENT


def _add_sealed(value: Any, state: _State, found: set[bytes]) -> None:
    """Add the sealed values that are seen of a value in this state."""
    kind = type(value)
    if kind in _PLAIN or state.is_dead:
        return
    if kind is dict or isinstance(value, Mapping):
        for name, item in value.items():
            if type(item) not in _PLAIN:
                _add_sealed(item, state.step(name), found)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if type(item) not in _PLAIN:
                _add_sealed(item, state, found)
    elif is_sealed(value):
        found.add(value)
    elif is_dataclass(value) and not isinstance(value, type):
        for f in fields(value):
            _add_sealed(getattr(value, f.name), state.step(f.name), found)


def flattened(paths: Iterable[Any]) -> Iterator[Any]:
    """The paths of lists in lists, as YAML aliases make them."""
    for path in paths:
        if isinstance(path, list):
            yield from flattened(path)
        else:
            yield path
