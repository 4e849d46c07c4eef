"""From every column to what it becomes, and back: legacy columns, the stations, customer fields, consumers."""

import difflib
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.source import Source
from sv_assets.customers.lineage import CUSTOMERS, of_stations
from sv_assets.customers.schema import columns
from sv_assets.dictionary.said import AssetSaid
from sv_assets.errors import SvError


class Field(NamedTuple):
    """A column or field of a place: of a source (`crm.customer`), or of an asset (`single_view/customers`).

    Landing copies column by column, so a source and its landing are one place. A tuple, since an estate has ten thousands
    of them in sets and in order.
    """

    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.place}.{self.name}"

    @property
    def is_of_a_source(self) -> bool:
        return "/" not in self.place


@dataclass(frozen=True)
class LineageGraph:
    """`made_from`: of every known field, those that it is made from directly; none for a column of a source."""

    made_from: Mapping[Field, tuple[Field, ...]]

    @cached_property
    def becomes(self) -> Mapping[Field, tuple[Field, ...]]:
        """Of every field, those that are made from it directly."""
        found: dict[Field, list[Field]] = defaultdict(list)
        for field in sorted(self.made_from):
            for upstream in self.made_from[field]:
                found[upstream].append(field)
        return {field: tuple(made) for field, made in found.items()}

    def upstream(self, field: Field) -> list[Field]:
        """Everything that a field is made from, the nearest first."""
        return list(self._remembered(self._above, self.made_from, field))

    def downstream(self, field: Field) -> list[Field]:
        """Everything that a field becomes, the nearest first."""
        return list(self._remembered(self._below, self.becomes, field))

    def between(self, start: Field, end: Field) -> list[Field]:
        """The fields on the way from one to the other."""
        before = self._remembered(self._above, self.made_from, end)
        return sorted(field for field in self._remembered(self._below, self.becomes, start) if field in before)

    def legacy_columns(self, field: Field) -> list[Field]:
        """The columns of sources that a field is made from in the end."""
        return sorted(found for found in self.upstream(field) if found.is_of_a_source)

    @cached_property
    def _above(self) -> dict[Field, dict[Field, None]]:
        return {}

    @cached_property
    def _below(self) -> dict[Field, dict[Field, None]]:
        return {}

    @staticmethod
    def _remembered(
        known: dict[Field, dict[Field, None]], edges: Mapping[Field, tuple[Field, ...]], field: Field
    ) -> dict[Field, None]:
        if field not in known:
            known[field] = _reached(edges, field)
        return known[field]

    def find(self, words: str) -> list[Field]:
        """The fields that `words` may mean: `crm.customer.Email`, `crm.customer`, `single_view/orders.total`, a customer
        field (`emails`, `emails[].value`), or a bare column name. Raises SvError, with the nearest names, for none."""
        wanted = words.strip().casefold().replace(":", ".")
        for fits in (
            lambda field: str(field).casefold() == wanted,
            lambda field: field.place == CUSTOMERS and field.name.casefold() == top_field(wanted),
            lambda field: field.place.casefold() == wanted,
            lambda field: field.name.casefold() == wanted,
        ):
            if found := sorted(field for field in self.made_from if fits(field)):
                return found
        names = [str(field) for field in self.made_from] + [f.name for f in self.made_from if f.place == CUSTOMERS]
        close = difflib.get_close_matches(words, names, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
        raise SvError(
            f"No field or column is called {words}. {hint}A customer field is written `emails`, a legacy column `crm.customer.Email`; "
            "`sv catalogue show SOURCE` lists the columns of a source."
        )


def lineage_graph(catalogue: Catalogue, assets: Iterable[AssetSaid] = ()) -> LineageGraph:
    """The lineage of the whole platform; `assets` add what consumers say that they read."""
    found: dict[Field, tuple[Field, ...]] = {}
    for source in catalogue.sources:
        found.update({Field(source.key, column): () for column in known_columns(source)})
    found.update({Field(CUSTOMERS, name): () for name in customer_fields()})
    for place, lineage in of_stations(catalogue).items():
        for name, upstreams in lineage.items():
            made_from = [
                Field(node.key, column) if isinstance(node, Source) else Field(node, column)
                for node, column in upstreams
            ]
            found[Field(place, name)] = tuple(sorted(set(made_from)))
    people = [Field(source.key, column) for source in catalogue.feeding("party") for column in _key(source)]
    found[Field(CUSTOMERS, "accounts")] = tuple(sorted(people))
    for asset in assets:
        if asset.is_consumer:
            for name, read in asset.columns.items():
                found[Field(asset.key, name)] = tuple(sorted({_read(place, column) for place, column in read}))
    for upstream in {field for fields in found.values() for field in fields} - found.keys():
        found[upstream] = ()
    return LineageGraph(found)


@cache
def customer_fields() -> tuple[str, ...]:
    """The fields of the customer document, without what lies inside of them."""
    return tuple(column.path for column in columns() if column.path.isidentifier())


def known_columns(source: Source) -> list[str]:
    """The columns of a table, or the paths into a message, that the catalogue knows; the key first where it names none."""
    return list(source.columns_known)


def _key(source: Source) -> list[str]:
    return [source.queue.key] if source.is_queue else source.table.key


def _read(place: str, column: str) -> Field:
    """What a consumer reads. Of a landing it is a column of the source; of a customer, one of the fields that lineage knows."""
    parts = place.split("/")
    if parts[0] in ("landing", "legacy") and len(parts) >= 3:
        return Field(f"{parts[1]}.{parts[2]}", column)
    return Field(place, top_field(column) if place == CUSTOMERS else column)


def top_field(path: str) -> str:
    """The field of the customer that a path begins with: `emails[].value` is of `emails`."""
    return path.partition(".")[0].removesuffix("[]")


def _reached(edges: Mapping[Field, tuple[Field, ...]], start: Field) -> dict[Field, None]:
    seen: dict[Field, None] = {}
    waiting = deque(edges.get(start, ()))
    while waiting:
        field = waiting.popleft()
        if field not in seen and field != start:
            seen[field] = None
            waiting.extend(edges.get(field, ()))
    return seen
