"""The catalogue: every declared system, read from its `defs.yaml`, checked as a whole.

Errors name the file, the line, the entry and the allowed values, so that a typo is never a silent default.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sv_assets.catalogue.model import (
    QueueEntry,
    Reference,
    SqlServerSystemModel,
    SqsQueuesModel,
    System,
    TableEntry,
)
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.settings import catalogue_dir

MODELS: dict[str, type[System]] = {
    "sv_assets.components.SqlServerSystem": SqlServerSystemModel,
    "sv_assets.components.SqsQueues": SqsQueuesModel,
}


@dataclass(frozen=True)
class Catalogue:
    """All sources of all systems, in the order of their keys."""

    sources: tuple[Source, ...]

    @cached_property
    def _by_key(self) -> dict[str, Source]:
        return {source.key: source for source in self.sources}

    def source(self, key: str) -> Source:
        """The source with this key (`crm.customer`); raises ConfigurationError with the nearest names."""
        found = self._by_key.get(key)
        if found is None:
            raise ConfigurationError(f"There is no source {key}. {_nearest(key, list(self._by_key))}")
        return found

    def find(self, system: str, name: str) -> Source | None:
        """The source of `system` declared as `name` (as the legacy system spells it), if there is one."""
        return next((s for s in self.sources if s.system == system and s.name == name), None)

    def feeding(self, feed: str) -> list[Source]:
        """The sources that feed `party`, `order`, `consent` …"""
        return [source for source in self.sources if source.feeds_into(feed)]

    def referred(self, source: Source, reference: Reference) -> Source:
        """The source that a reference of `source` points to."""
        found = self.find(reference.system or source.system, reference.table)
        assert found is not None, "references are checked when the catalogue loads"
        return found

    def order_source(self, system: str) -> Source:
        """The one source of `system` that feeds orders."""
        return next(s for s in self.feeding("order") if s.system == system)


def load_catalogue(directory: Path | None = None) -> Catalogue:
    """Read `<directory>/*/defs.yaml`. Raises ConfigurationError for the first thing that is wrong, with file and line."""
    directory = directory or catalogue_dir()
    sources: list[Source] = []
    for path in sorted(directory.glob("*/defs.yaml")):
        for system in read_systems(path):
            sources.extend(sources_of(system))
    if not sources:
        raise ConfigurationError(
            f"{directory}: no defs.yaml declares a source. Add one folder a system with a defs.yaml."
        )
    catalogue = Catalogue(tuple(sorted(sources, key=lambda s: s.key)))
    check_catalogue(catalogue)
    return catalogue


def read_systems(path: Path) -> Iterator[System]:
    """The systems declared in one file, one a YAML document."""
    text = path.read_text()
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigurationError(
            f"{path}{line}: this is not YAML ({problem}). Mend the indentation or quotes there."
        ) from None
    for document, node in zip(documents, nodes, strict=True):
        kind = document.get("type") if isinstance(document, dict) else None
        if kind not in MODELS:
            raise ConfigurationError(f"{path}: type is {kind!r}; allowed: {', '.join(MODELS)}")
        try:
            yield MODELS[kind].model_validate(document.get("attributes"))
        except ValidationError as error:
            raise ConfigurationError(_explain(path, document, node, error)) from None


def sources_of(system: System) -> list[Source]:
    """The sources of one declared system."""
    if isinstance(system, SqlServerSystemModel):
        return [Source(system, table) for table in system.tables]
    assert isinstance(system, SqsQueuesModel)
    return [Source(system, queue) for queue in system.queues]


def check_catalogue(catalogue: Catalogue) -> None:
    """What one file cannot show: names that collide, references that point nowhere. Raises ConfigurationError."""
    seen: dict[str, Source] = {}
    for source in catalogue.sources:
        if source.key in seen:
            raise ConfigurationError(
                f"{source.system}: {source.name} and {seen[source.key].name} would both be called {source.key}. "
                "Rename one system, or remove one of the two entries."
            )
        seen[source.key] = source
    for source in catalogue.sources:
        _check_references(catalogue, source)


def _check_references(catalogue: Catalogue, source: Source) -> None:
    for reference in source.party_references():
        target = catalogue.find(reference.system or source.system, reference.table)
        if target is None or target.entry.feeds.party is None:
            people = [f"{s.system}: {s.name}" for s in catalogue.feeding("party")]
            raise ConfigurationError(
                f"{source.system}: {source.name} refers to {reference.system or source.system}: {reference.table}, which "
                f"is not a declared source of people. Allowed: {', '.join(people)}"
            )
    for order in source.order_references():
        system = order.system or source.system
        orders = [s for s in catalogue.feeding("order") if s.system == system]
        if len(orders) != 1:
            raise ConfigurationError(
                f"{source.system}: {source.name} refers to an order of {system}, which has {len(orders)} sources of orders. "
                "Declare exactly one table with an `order` feed in that system."
            )
    entry = source.entry
    for feed in (entry.feeds.order, entry.feeds.interaction, *entry.feeds.consent):
        needs_self = feed is not None and (feed.party == "self" or getattr(feed.party, "otherwise", None) == "self")
        if needs_self and entry.feeds.party is None:
            raise ConfigurationError(
                f"{source.system}: {source.name} says `self` for its party, but has no `party` feed. Add one, or refer to a table."
            )


def _explain(path: Path, document: Any, node: yaml.Node, error: ValidationError) -> str:
    first = error.errors()[0]
    location = ("attributes", *first["loc"])
    line, entry = _locate(node, document, location)
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"{location[-1]!r} is not a known word here. {_nearest(str(location[-1]), _allowed(document, first))}"
    elif first["type"] == "union_tag_invalid":
        context = first.get("ctx", {})
        message = f"{context.get('tag')!r} is not a known {str(context.get('discriminator')).strip(chr(39))}; allowed: {context.get('expected_tags')}"
    elif first["type"] == "missing":
        message = f"{location[-1]!r} is missing"
    more = len(error.errors()) - 1
    tail = f" ({more} more in this file)" if more else ""
    return f"{path}:{line}: {entry}: {message}{tail}"


def _allowed(document: Any, error: Any) -> list[str]:
    """The words allowed where an unknown one stood, found by walking the models along the error's location."""
    model: Any = MODELS[document["type"]]
    for part in error["loc"][:-1]:
        fields = getattr(model, "model_fields", {})
        if isinstance(part, str) and part in fields:
            model = _model_in(fields[part].annotation, document)
        elif isinstance(part, str):
            model = next((m for m in _models_in(model) if part in (m.__name__, _mode_of(m))), model)
    return list(getattr(model, "model_fields", {}))


def _models_in(annotation: Any) -> list[Any]:
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]


def _model_in(annotation: Any, document: Any) -> Any:
    models = _models_in(annotation)
    return models[0] if len(models) == 1 else annotation


def _mode_of(model: Any) -> str | None:
    field = model.model_fields.get("mode")
    return field.annotation.__args__[0] if field else None


def _locate(node: yaml.Node, document: Any, location: tuple[int | str, ...]) -> tuple[int, str]:
    """The line of the innermost YAML node on the way, and the entry in words: `crm, dbo.Customer, capture.mode`."""
    words: list[str] = [str(document.get("attributes", {}).get("system", "?"))] if isinstance(document, dict) else []
    line = node.start_mark.line + 1
    value = document
    for part in location:
        if isinstance(node, yaml.MappingNode) and isinstance(part, str):
            child = next(((k, v) for k, v in node.value if k.value == part), None)
            if child is None:
                if part not in ("function-before[_as_list()", "list"):
                    words.append(part)
                continue
            line, node = child[0].start_mark.line + 1, child[1]
            value = value.get(part)
            if part not in ("attributes", "tables", "queues"):
                words.append(part)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node, value = node.value[part], value[part]
            line = node.start_mark.line + 1
            words.append(str(value.get("name", part)) if isinstance(value, dict) else str(part))
    return line, ", ".join(words)


def _nearest(word: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}Allowed: {', '.join(sorted(allowed))}"


__all__ = [
    "Catalogue",
    "QueueEntry",
    "Source",
    "TableEntry",
    "check_catalogue",
    "load_catalogue",
    "read_systems",
    "sources_of",
]
