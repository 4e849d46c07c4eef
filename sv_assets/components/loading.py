"""Loading definitions fast: what Dagster does not do by itself for hundreds of declared tables."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from dagster.components.core import decl as declarations
from dagster_shared.yaml_utils.source_position import (
    LineCol,
    SourcePosition,
    SourcePositionTree,
    ValueAndSourcePositionTree,
)

from sv_assets.catalogue.load import documents_of

decl: Any = declarations
_dagsters_own = decl.parse_yamls_with_source_position


@contextmanager
def quick_loading() -> Iterator[None]:
    """While definitions load, declarations are read once, and the garbage collector rests.

    Dagster notes the line and column of each single value of a declaration, which takes most of the time that 500 tables
    need to be read; the catalogue has read them before, and names the line of what is wrong. Nothing that loads is garbage, and
    what was loaded stays: the collector never looks at it again.
    """
    collects = gc.isenabled()
    gc.disable()
    decl.parse_yamls_with_source_position = _parsed
    try:
        yield
    finally:
        decl.parse_yamls_with_source_position = _dagsters_own
        documents_of.cache_clear()
        if collects:
            gc.freeze()
            gc.enable()


def _parsed(text: str, filename: str = "<string>") -> list[ValueAndSourcePositionTree]:
    """The documents of a declaration, with the positions of their uppermost keys; what is not YAML is for Dagster to say."""
    try:
        documents = documents_of(text)
    except (yaml.YAMLError, ValueError):
        return list(_dagsters_own(text, filename))
    found = []
    for value, node in documents:
        keys = [key for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []
        below = {key.value: SourcePositionTree(_position(key, filename), {}) for key in keys}
        found.append(ValueAndSourcePositionTree(value, SourcePositionTree(_position(node, filename), below)))
    return found


def _position(node: Any, filename: str) -> SourcePosition:
    start, end = (LineCol(mark.line + 1, mark.column + 1) for mark in (node.start_mark, node.end_mark))
    return SourcePosition(filename, start, end)
