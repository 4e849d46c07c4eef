"""The catalogue: every declared system, read from its `defs.yaml`, checked as a whole.

Errors name the file, the line, the entry and the allowed values, so that a typo is never a silent default.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sv_assets.catalogue.checks import References
from sv_assets.catalogue.entry import LOADER
from sv_assets.catalogue.explain import explain, nearest, repeated_key
from sv_assets.catalogue.feeds import Reference
from sv_assets.catalogue.model import SqlServerSystemModel, SqsQueuesModel, System, TableEntry
from sv_assets.catalogue.queue import QueueEntry
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.settings import catalogue_dir

MODELS: dict[str, type[System]] = {
    "sv_assets.components.SqlServerSystem": SqlServerSystemModel,
    "sv_assets.components.SqsQueues": SqsQueuesModel,
}


_LOADED: dict[Path, tuple[tuple[tuple[Path, int, int], ...], "Catalogue"]] = {}


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
            raise ConfigurationError(f"There is no source {key}. {nearest(key, list(self._by_key))}")
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

    def is_quoted(self, source: Source) -> bool:
        """True if people of some source name orders of this one, so that each of them may say who somebody is."""
        return source.feeds_into("order") and any(
            (reference.system or other.system) == source.system
            for other in self.feeding("party")
            if other.entry.feeds.party is not None
            for reference in other.entry.feeds.party.quotes
        )

    def order_source(self, system: str) -> Source:
        """The one source of `system` that feeds orders."""
        return next(s for s in self.feeding("order") if s.system == system)


def load_catalogue(directory: Path | None = None) -> Catalogue:
    """Read `<directory>/*/defs.yaml`. Raises ConfigurationError for the first thing that is wrong, with file and line.

    What was read is kept until a file is another: definitions of a large estate ask for it a dozen times.
    """
    directory = directory or catalogue_dir()
    paths = sorted(directory.glob("*/defs.yaml"))
    files = tuple((path, stat.st_mtime_ns, stat.st_size) for path in paths for stat in (path.stat(),))
    known = _LOADED.get(directory)
    if known is None or known[0] != files:
        known = _LOADED[directory] = (files, _read_catalogue(directory, paths))
    return known[1]


def _read_catalogue(directory: Path, paths: Sequence[Path]) -> Catalogue:
    sources: list[Source] = []
    for path in paths:
        sources.extend(read_sources(path))
    if not sources:
        raise ConfigurationError(
            f"{directory}: no defs.yaml declares a source. Add one folder a system with a defs.yaml."
        )
    catalogue = Catalogue(tuple(sorted(sources, key=lambda s: s.key)))
    check_catalogue(catalogue)
    return catalogue


def read_sources(path: Path) -> Iterator[Source]:
    """The sources declared in one file, which may hold several systems, one a YAML document."""
    try:
        parsed = documents_of(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        at_line = f":{where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or ("not UTF-8" if isinstance(error, UnicodeError) else str(error))
        raise ConfigurationError(
            f"{path}{at_line}: this is not YAML ({problem}). Mend the indentation, quotes or value there."
        ) from None
    for document, node in parsed:
        for source, line in zip(*_declared(path, document, node), strict=True):
            yield replace(source, declared_at=f"{path}:{line}: ")


@lru_cache(maxsize=256)
def documents_of(text: str) -> list[tuple[Any, yaml.Node]]:
    """The documents of a declaration, each with its node; Dagster wants them again. Raises YAMLError and ValueError."""
    nodes = yaml.compose_all(text, Loader=LOADER)
    return [(yaml.constructor.SafeConstructor().construct_document(node), node) for node in nodes]


def _declared(path: Path, document: Any, node: yaml.Node) -> tuple[list[Source], list[int]]:
    """The sources of one document, and the lines of their entries."""
    if repeated := repeated_key(node):
        raise ConfigurationError(f"{path}:{repeated[0]}: {repeated[1]!r} stands twice here. Remove one of the two.")
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in MODELS:
        raise ConfigurationError(f"{path}:{node.start_mark.line + 1}: type is {kind!r}; allowed: {', '.join(MODELS)}")
    try:
        system = MODELS[kind].model_validate(document.get("attributes"))
    except ValidationError as error:
        line, sentence = explain(MODELS[kind], document, node, error)
        raise ConfigurationError(f"{path}:{line}: {sentence}") from None
    entries = _child(_child(node, "attributes"), "queues" if isinstance(system, SqsQueuesModel) else "tables")
    return sources_of(system), [entry.start_mark.line + 1 for entry in entries.value]


def _child(node: yaml.Node, word: str) -> yaml.Node:
    children: dict[str, yaml.Node] = {key.value: value for key, value in node.value}
    return children[word]


def sources_of(system: System) -> list[Source]:
    """The sources of one declared system."""
    if isinstance(system, SqlServerSystemModel):
        return [Source(system, table) for table in system.tables]
    assert isinstance(system, SqsQueuesModel)
    return [Source(system, queue) for queue in system.queues]


def check_catalogue(catalogue: Catalogue) -> None:
    """What one entry cannot show: names that collide, references that point nowhere. Raises ConfigurationError."""
    seen: dict[str, Source] = {}
    for source in catalogue.sources:
        if source.key in seen:
            raise ConfigurationError(
                f"{_where(source)} and {seen[source.key].name} would both be called {source.key}. "
                "Rename one system, or remove one of the two entries."
            )
        seen[source.key] = source
    for source in catalogue.sources:
        _check_references(catalogue, source)
        _check_paths(source)
        _check_declared_checks(catalogue, source)


def _check_declared_checks(catalogue: Catalogue, source: Source) -> None:
    for check in source.entry.checks:
        if isinstance(check, References) and catalogue.find(check.system or source.system, check.table) is None:
            names = [s.name for s in catalogue.sources if s.system == (check.system or source.system)]
            raise ConfigurationError(
                f"{_where(source)}, checks, {check.title}: {check.system or source.system}: {check.table} is not declared. "
                f"{nearest(check.table, names) if names else 'That system has no sources.'}"
            )


def _check_references(catalogue: Catalogue, source: Source) -> None:
    for reference in source.party_references():
        target = catalogue.find(reference.system or source.system, reference.table)
        if target is None or target.entry.feeds.party is None:
            people = [f"{s.system}: {s.name}" for s in catalogue.feeding("party")]
            raise ConfigurationError(
                f"{_where(source)} refers to {reference.system or source.system}: {reference.table}, which "
                f"is not a declared source of people. Allowed: {', '.join(people)}"
            )
    for order in source.order_references():
        system = order.system or source.system
        orders = [s for s in catalogue.feeding("order") if s.system == system]
        if len(orders) != 1:
            raise ConfigurationError(
                f"{_where(source)} refers to an order of {system}, which has {len(orders)} sources of orders. "
                "Declare exactly one table with an `order` feed in that system."
            )
    if source.entry.feeds.party is not None:
        for order in source.entry.feeds.party.quotes:
            if not catalogue.order_source(order.system or source.system).feeds_into("party"):
                raise ConfigurationError(
                    f"{_where(source)} quotes orders of {order.system or source.system}, which do not feed `party`. "
                    "Give the table of orders a `party` feed with `when_empty`, as guest check-outs have."
                )
    entry = source.entry
    for feed in (entry.feeds.order, entry.feeds.interaction, entry.feeds.flag, *entry.feeds.consent):
        needs_self = feed is not None and (feed.party == "self" or getattr(feed.party, "otherwise", None) == "self")
        if needs_self and entry.feeds.party is None:
            raise ConfigurationError(
                f"{_where(source)} says `self` for its party, but has no `party` feed. Add one, or refer to a table."
            )


def _check_paths(source: Source) -> None:
    if not source.is_queue:
        return
    checked = {path for check in source.entry.checks for path in check.subject}
    happened = {source.entry.expect.happened_at or "$."}
    paths = sorted(source.paths_used() | checked | happened)
    wrong = next((path for path in paths if not path.startswith("$.")), None)
    if wrong is not None:
        raise ConfigurationError(
            f"{_where(source)}, {wrong}: a path into a message starts with `$.`: for example $.account.id"
        )


def _where(source: Source) -> str:
    return f"{source.declared_at}{source.system}: {source.name}"


__all__ = [
    "Catalogue",
    "QueueEntry",
    "Source",
    "TableEntry",
    "check_catalogue",
    "load_catalogue",
    "read_sources",
    "sources_of",
]
