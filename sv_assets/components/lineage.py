"""Column lineage as Dagster shows it: from the legacy column through landing to the field of a customer, and its readers.

The open-source UI draws none, so every asset also says it in words: in the descriptions of its columns, and as a table
of links (`made_from`) that a person follows back to the legacy column.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import dagster as dg

from sv_assets.catalogue.load import load_catalogue
from sv_assets.catalogue.source import Source
from sv_assets.components.keys import landing_key, legacy_key
from sv_assets.customers.lineage import CUSTOMERS, Lineage
from sv_assets.customers.schema import columns as customer_columns
from sv_assets.dictionary.facts import ColumnFacts, columns_of, facts_of, graph_of
from sv_assets.dictionary.lineage import Field, LineageGraph, known_columns, lineage_graph, top_field
from sv_assets.errors import ConfigurationError
from sv_assets.pictures import markdown_escaped

COLUMN_LINEAGE = "dagster/column_lineage"
COLUMN_SCHEMA = "dagster/column_schema"
MADE_FROM = "made_from"
MOST_LINKS = 25
"""So many links in a cell; beyond, their number and the command that lists them."""


_escaped = lru_cache(maxsize=20_000)(markdown_escaped)
"""The same few words stand on the pages of hundreds of tables."""


def column_lineage(lineage: Lineage) -> dg.TableColumnLineage:
    """What each field of a station is made from directly."""
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(_key(upstream), column) for upstream, column in upstreams]
            for name, upstreams in lineage.items()
        }
    )


def landing_lineage(source: Source, columns: Iterable[str] | None = None) -> dg.TableColumnLineage:
    """Landing copies: each column (or path into a message) is that of the source."""
    names = known_columns(source) if columns is None else columns
    legacy = legacy_key(source)
    return dg.TableColumnLineage({name: [dg.TableColumnDep(legacy, name)] for name in names})


def source_metadata(source: Source) -> dict[str, Any]:
    """For the definitions of a source and of its landing: the columns that the catalogue knows, each with what it becomes,
    and the page of the source in the data dictionary."""
    facts = columns_of(source, graph_of(source))
    return {COLUMN_SCHEMA: _schema(facts, {}), "dictionary": _page(source, facts)}


def landed_schema(source: Source, landed: Sequence[tuple[str, str]]) -> dg.TableSchema:
    """The columns that have landed, with their types in the source."""
    types = dict(landed)
    facts = columns_of(source, graph_of(source), list(types))
    return _schema([column for column in facts if column.name in types], types)


def _schema(facts: Sequence[ColumnFacts], types: Mapping[str, str]) -> dg.TableSchema:
    return dg.TableSchema(
        [
            _column(
                column.name,
                types.get(column.name) or column.type or "any",
                _becomes_in_words(column),
                column.personal,
            )
            for column in facts
        ]
    )


@lru_cache(maxsize=20_000)
def _column(name: str, kind: str, words: str, personal: str) -> dg.TableColumn:
    return dg.TableColumn(name, kind, words, tags={"pii": personal} if personal else {})


def _page(source: Source, facts: Sequence[ColumnFacts]) -> dg.MarkdownMetadataValue:
    """What a source is, how it is captured, and what its columns become."""
    lines = ["| | |", "|:--|:--|"]
    lines += [f"| {_escaped(label)} | {_escaped(text)} |" for label, text in facts_of(source)]
    heads = ("path" if source.is_queue else "column", "personal data", "role", "becomes", "of a customer")
    lines += ["", f"| {' | '.join(heads)} |", "|:--|:--|:--|:--|:--|"]
    for column in facts:
        before = [_link(field) for field in column.on_the_way]
        customers = [asset_link(CUSTOMERS, name) for name in column.customer_fields]
        cells = [_escaped(text) for text in (column.name, column.personal, ", ".join(column.roles))]
        lines.append(f"| {' | '.join([*cells, ', '.join(before) or '–', ', '.join(customers) or '–'])} |")
    key = f"{source.system}/{source.slug}"
    lines += ["", f"{asset_link(f'legacy/{key}')} lands in {asset_link(f'landing/{key}')}, column by column."]
    return dg.MetadataValue.md("\n".join(lines))


def station_metadata(graph: LineageGraph, place: str, also: Mapping[str, str] | None = None) -> dict[str, Any]:
    """For the definition of a station: which collection it is, its fields with what they are made from, and its lineage.

    `also` are the fields without lineage, each with what it is.
    """
    also = also or {}
    made = [field for field in sorted(graph.made_from) if field.place == place and graph.made_from[field]]
    fields = [dg.TableColumn(f.name, "any", _made_from_in_words(graph, f)) for f in made if f.name not in also]
    fields += [dg.TableColumn(name, "any", words) for name, words in also.items()]
    found: dict[str, Any] = {**located(place), COLUMN_SCHEMA: dg.TableSchema(fields)}
    return found | (traced(graph, place, [field.name for field in made]) if made else {})


def traced(graph: LineageGraph, place: str, names: Sequence[str]) -> dict[str, Any]:
    """The lineage of these fields of a place, as Dagster takes it and as a table of links."""
    lineage = {
        name: [dg.TableColumnDep(_key_of(field), field.name) for field in graph.made_from[Field(place, name)]]
        for name in names
    }
    return {COLUMN_LINEAGE: dg.TableColumnLineage(lineage), MADE_FROM: made_from(graph, place, names)}


def customer_metadata(graph: LineageGraph) -> dict[str, Any]:
    """As `station_metadata`, for the customer document."""
    made = sorted(field.name for field in graph.made_from if field.place == CUSTOMERS and graph.made_from[field])
    return {**located(CUSTOMERS), COLUMN_SCHEMA: _customer_schema(graph), **traced(graph, CUSTOMERS, made)}


def _customer_schema(graph: LineageGraph) -> dg.TableSchema:
    """The fields of the customer document, as the model says (`docs/customer.md`), with their legacy columns."""
    fields = []
    for column in customer_columns():
        words = column.description
        if legacy := graph.legacy_columns(Field(CUSTOMERS, column.path)):
            words = f"{words}. Made of {_in_words(legacy)}.".removeprefix(". ")
        constraints = dg.TableColumnConstraints(nullable=not column.required)
        fields.append(dg.TableColumn(column.path, column.type, words, constraints))
    return dg.TableSchema(fields)


def made_from(graph: LineageGraph, place: str, names: Iterable[str]) -> dg.MarkdownMetadataValue:
    """A table of links: of each field, what it is made from, and its legacy columns in the end."""
    lines = ["| field | made from | legacy columns in the end |", "|:--|:--|:--|"]
    for name in names:
        field = Field(place, name)
        direct = _links([one for one in graph.made_from.get(field, ()) if not one.is_of_a_source], name)
        legacy = _links(graph.legacy_columns(field), name)
        lines.append(f"| {_escaped(name)} | {direct or 'landing'} | {legacy or '–'} |")
    return dg.MetadataValue.md("\n".join(lines))


def reads(asset: str, columns: Mapping[str, Sequence[str]], graph: LineageGraph | None = None) -> dict[str, Any]:
    """For the definition of a consumer's asset (`contact_centre/lookup`): what each of its columns is made of.

    `columns` says by column the fields that it reads: of a customer (`emails`), or of another collection of ours
    (`single_view/orders.total`). Whoever follows the lineage of such a field then finds the consumer. `graph` is that of
    the catalogue, for those who have it. Raises ConfigurationError for a field that is not there.
    """
    graph = graph or lineage_graph(load_catalogue())
    found = {
        column: tuple((f.place, f.name) for f in (_field(graph, asset, column, name) for name in names))
        for column, names in columns.items()
    }
    made = {Field(asset, column): tuple(sorted(Field(*read) for read in found[column])) for column in columns}
    whole = LineageGraph({**graph.made_from, **made})
    schema = [dg.TableColumn(c, "any", _made_from_in_words(whole, Field(asset, c))) for c in columns]
    return {COLUMN_SCHEMA: dg.TableSchema(schema), **traced(whole, asset, list(columns))}


def located(place: str) -> dict[str, Any]:
    """Which collection an asset is: `identity/clusters` is `clusters` in the database `identity`."""
    database, _, collection = place.partition("/")
    return {"dagster/uri": f"mongodb://{database}/{collection}", "dagster/table_name": f"{database}.{collection}"}


def consumer_metadata(place: str, columns: Mapping[str, str], made_from: Lineage | None = None) -> dict[str, Any]:
    """Which collection a consumer's asset is, what its columns are (in words), and what they are made from."""
    schema = dg.TableSchema([dg.TableColumn(name, "any", says) for name, says in columns.items()])
    lineage = {COLUMN_LINEAGE: column_lineage(made_from)} if made_from else {}
    return {**located(place), COLUMN_SCHEMA: schema, **lineage}


@lru_cache(maxsize=20_000)
def asset_link(key: str, words: str = "", view: str = "overview") -> str:
    """A link in Markdown to the page of an asset."""
    return f"[{_escaped(words or key)}](/assets/{quote(key)}?view={view})"


def _field(graph: LineageGraph, asset: str, column: str, name: str) -> Field:
    place, _, rest = name.partition(".")
    field = Field(place, rest) if "/" in place else Field(CUSTOMERS, name)
    if field.place == CUSTOMERS and field.name in {column.path for column in customer_columns()}:
        field = Field(CUSTOMERS, top_field(field.name))
    if field not in graph.made_from:
        fields = sorted(f.name for f in graph.made_from if f.place == field.place)
        raise ConfigurationError(
            f"{asset}, {column}: there is no field {field.name} in {field.place}. Allowed: {', '.join(fields) or 'nothing of that name'}"
        )
    return field


def _links(fields: Sequence[Field], of: str) -> str:
    shown = ", ".join(_link(field) for field in fields[:MOST_LINKS])
    more = len(fields) - MOST_LINKS
    return shown if more <= 0 else f"{shown} and {more} more: `sv catalogue lineage {of}`"


@lru_cache(maxsize=20_000)
def _link(field: Field) -> str:
    """To the page on which the field stands; of a source that is the legacy table or queue."""
    return asset_link("/".join(_key_of(field, "legacy").path), str(field))


def _becomes_in_words(column: ColumnFacts) -> str:
    """In a sentence or two, with links: what a column is for, and what it becomes."""
    roles = f"{_escaped(', '.join(column.roles).capitalize())}. " if column.roles else ""
    personal = f"Personal data: {column.personal}. " if column.personal else ""
    before = ", ".join(_link(field) for field in column.on_the_way)
    customers = ", ".join(asset_link(CUSTOMERS, name) for name in column.customer_fields)
    parts = [f"Becomes {before}." if before else "", f"Of a customer: {customers}." if customers else ""]
    return f"{roles}{personal}{' '.join(part for part in parts if part) or 'Lands, and feeds nothing further.'}"


def _made_from_in_words(graph: LineageGraph, field: Field) -> str:
    legacy = graph.legacy_columns(field)
    return f"Made of {_in_words(legacy)}." if legacy else "Made by the station itself."


def _in_words(fields: Sequence[Field]) -> str:
    most = 12
    shown = ", ".join(_link(field) for field in fields[:most])
    return shown if len(fields) <= most else f"{shown} and {len(fields) - most} more columns"


def _key_of(field: Field, of_sources: str = "landing") -> dg.AssetKey:
    if field.is_of_a_source:
        system, _, slug = field.place.partition(".")
        return dg.AssetKey([of_sources, system, slug])
    return dg.AssetKey(field.place.split("/"))


def _key(upstream: Source | str) -> dg.AssetKey:
    return landing_key(upstream) if isinstance(upstream, Source) else dg.AssetKey(upstream.split("/"))
