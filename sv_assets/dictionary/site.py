"""The data dictionary as a static site: an index, and a page on each system, source, station, customer field and consumer.

It needs no server and no network: links are relative, and the search reads a script that lies beside the pages.
The same catalogue makes the same bytes. Whatever a declaration says is text, never markup.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sv_assets.catalogue.load import Catalogue
from sv_assets.catalogue.model import SqlServerSystemModel
from sv_assets.catalogue.source import Source
from sv_assets.customers.lineage import CUSTOMERS, of_stations
from sv_assets.customers.schema import Column, columns
from sv_assets.dictionary.facts import columns_of, facts_of
from sv_assets.dictionary.figures import SourceFigures
from sv_assets.dictionary.lineage import Field, LineageGraph, lineage_graph
from sv_assets.dictionary.said import OURS, AssetSaid
from sv_assets.errors import ConfigurationError

FOLDERS = ("system", "source", "station", "field", "consumer")
MARK = "// The search index of the data dictionary; `sv catalogue docs` writes it."
_QUOTED = re.compile("`([^`]+)`")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True)
class Dictionary:
    """All that the pages show. `ui` is the address of a Dagster UI, without a slash at its end; empty for no links to it."""

    catalogue: Catalogue
    assets: tuple[AssetSaid, ...] = ()
    figures: Mapping[str, SourceFigures] = field(default_factory=dict)
    ui: str = ""

    @cached_property
    def graph(self) -> LineageGraph:
        return lineage_graph(self.catalogue, self.assets)

    @cached_property
    def asset(self) -> dict[str, AssetSaid]:
        return {asset.key: asset for asset in self.assets}

    @cached_property
    def stations(self) -> list[AssetSaid]:
        """The stations behind landing, as their assets describe them; by lineage alone where no asset was given."""
        known = {key: AssetSaid(key) for key in of_stations(self.catalogue)}
        known |= {a.key: a for a in self.assets if a.key.split("/")[0] in OURS[2:]}
        return [known[key] for key in sorted(known)]

    @cached_property
    def consumers(self) -> list[AssetSaid]:
        return sorted((asset for asset in self.assets if asset.is_consumer), key=lambda asset: asset.key)

    @cached_property
    def customer_fields(self) -> list[Column]:
        """The fields of the customer document, without what lies inside of them."""
        return [column for column in columns() if column.path.isidentifier()]

    @cached_property
    def systems(self) -> dict[str, list[Source]]:
        found: dict[str, list[Source]] = defaultdict(list)
        for source in self.catalogue.sources:
            found[source.system].append(source)
        return dict(found)

    @cached_property
    def referred(self) -> dict[str, list[tuple[Source, str]]]:
        """By source key, who refers to it: by a foreign key, or by a feed."""
        found: dict[str, list[tuple[Source, str]]] = defaultdict(list)
        for source in self.catalogue.sources:
            for other, words in references(self.catalogue, source):
                if other is not None:
                    found[other.key].append((source, words))
        return dict(found)


def pages(dictionary: Dictionary) -> dict[str, str]:
    """By path relative to the site, the text of each page and of the search index."""
    environment = Environment(
        loader=PackageLoader("sv_assets.dictionary"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(_links(dictionary))
    environment.filters["with_code"] = _with_code
    return dict(_written(dictionary, environment))


def _with_code(text: str) -> Markup:
    """Text in which what stands between back quotes is code; all of it is escaped."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def write_site(found: Mapping[str, str], folder: Path) -> None:
    """Write the pages; those of an earlier site that are no longer there are removed. Raises ConfigurationError for a
    folder that holds something else, or cannot be written to."""
    index = folder / "search.js"
    try:
        if folder.exists() and any(folder.iterdir()) and not _is_ours(index):
            raise ConfigurationError(f"{folder} holds other files. Name a folder that is empty or not there yet.")
        for stale in (path for name in FOLDERS for path in (folder / name).glob("*.html")):
            if str(stale.relative_to(folder)) not in found:
                stale.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        index.write_text(found["search.js"], encoding="utf-8", newline="\n")
        for name, text in found.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written to ({error.strerror}). Name another folder.") from None


def references(catalogue: Catalogue, source: Source) -> list[tuple[Source | None, str]]:
    """What a source refers to: by foreign keys, and by its feeds. None stands for a table that is not declared."""
    found: list[tuple[Source | None, str]] = []
    if not source.is_queue:
        by_name = {s.name.casefold(): s for s in catalogue.sources if s.system == source.system and not s.is_queue}
        for key in source.table.foreign_keys:
            words = f"{', '.join(key.columns)} → {key.table} ({', '.join(key.key)}), a foreign key"
            found.append((by_name.get(key.table.casefold()), words))
    for reference in source.party_references():
        target = catalogue.referred(source, reference)
        found.append((target, f"{reference.key} → the person in {target.key}"))
    for order in source.order_references():
        target = catalogue.order_source(order.system or source.system)
        found.append((target, f"{order.id or order.number} → the order in {target.key}"))
    return list({words: (target, words) for target, words in found}.values())


def _is_ours(index: Path) -> bool:
    return index.exists() and index.read_text(encoding="utf-8", errors="replace").startswith(MARK)


def _written(dictionary: Dictionary, environment: Environment) -> Iterator[tuple[str, str]]:
    def rendered(template: str, up: str, **what: Any) -> str:
        return environment.get_template(f"{template}.html").render(dictionary=dictionary, up=up, **what)

    yield "index.html", rendered("index", "")
    yield "search.js", f"{MARK}\nconst INDEX = {_script_safe(_index(dictionary))};\n"
    for system, sources in dictionary.systems.items():
        declared = sources[0].declared_in
        is_sql = isinstance(declared, SqlServerSystemModel)
        yield (
            f"system/{file_name(system)}.html",
            rendered("system", "../", system=system, declared=declared, sources=sources, is_sql=is_sql),
        )
    for source in dictionary.catalogue.sources:
        yield (
            f"source/{file_name(source.key)}.html",
            rendered(
                "source",
                "../",
                source=source,
                facts=facts_of(source),
                columns=columns_of(source, dictionary.graph),
                references=references(dictionary.catalogue, source),
                referred=dictionary.referred.get(source.key, []),
                landing=dictionary.asset.get(f"landing/{source.system}/{source.slug}"),
                figures=dictionary.figures.get(source.key),
            ),
        )
    for folder, assets in (("station", dictionary.stations), ("consumer", dictionary.consumers)):
        for asset in assets:
            fields = sorted(found for found in dictionary.graph.made_from if found.place == asset.key)
            if asset.key == CUSTOMERS:
                fields = [Field(CUSTOMERS, column.path) for column in dictionary.customer_fields]
            yield f"{folder}/{file_name(asset.key)}.html", rendered("station", "../", asset=asset, fields=fields)
    for column in dictionary.customer_fields:
        inner = [c for c in columns() if c.path.startswith((f"{column.path}.", f"{column.path}[]."))]
        one = Field(CUSTOMERS, column.path)
        yield f"field/{file_name(column.path)}.html", rendered("field", "../", column=column, inner=inner, field=one)


def _links(dictionary: Dictionary) -> dict[str, Any]:
    """What templates call to link from one page to another; `up` leads to the top of the site."""
    sources = {source.key for source in dictionary.catalogue.sources}
    consumers = {asset.key for asset in dictionary.consumers}

    def link(up: str, place: Field) -> str:
        if place.place in sources:
            return f"{up}source/{file_name(place.place)}.html#{anchor(place.name)}"
        if place.place == CUSTOMERS:
            return f"{up}field/{file_name(place.name)}.html"
        folder = "consumer" if place.place in consumers else "station"
        return f"{up}{folder}/{file_name(place.place)}.html#{anchor(place.name)}"

    def page(up: str, folder: str, name: str) -> str:
        return f"{up}{folder}/{file_name(name)}.html"

    def in_ui(key: str) -> str:
        return f"{dictionary.ui}/assets/{quote(key)}"

    def field_of(name: str) -> Field:
        return Field(CUSTOMERS, name)

    return {
        "link": link,
        "page": page,
        "in_ui": in_ui,
        "anchor": anchor,
        "field_of": field_of,
        "CUSTOMERS": CUSTOMERS,
    }


def _index(dictionary: Dictionary) -> list[list[str]]:
    """Of everything that can be searched for: what it is called, what kind it is, what else is said of it, and its page."""
    link, page = _links(dictionary)["link"], _links(dictionary)["page"]
    found: list[list[str]] = []
    for system, sources in dictionary.systems.items():
        found.append([system, "system", sources[0].declared_in.description or "", page("", "system", system)])
    for source in dictionary.catalogue.sources:
        kind = "queue" if source.is_queue else "table"
        found.append([f"{source.key}", kind, source.entry.description or source.name, page("", "source", source.key)])
        for column in columns_of(source, dictionary.graph):
            personal = f"personal data: {column.personal}" if column.personal else ""
            where = link("", Field(source.key, column.name))
            found.append([f"{source.key}.{column.name}", "column", personal, where])
    for asset in dictionary.stations:
        found.append([asset.key, "station", asset.description, page("", "station", asset.key)])
    for asset in dictionary.consumers:
        found.append([asset.key, "consumer", asset.description, page("", "consumer", asset.key)])
    for customer_field in dictionary.customer_fields:
        where = page("", "field", customer_field.path)
        found.append([customer_field.path, "customer field", customer_field.description, where])
    return found


def file_name(name: str) -> str:
    """A name that every file system and URL takes. What had to be changed ends with a hash, so that no two are one."""
    near = name.replace("/", ".")
    return _told_apart(name, near, near == near.lower())


def anchor(name: str) -> str:
    """The id of a column on its page."""
    return "c-" + _told_apart(name, name.removeprefix("$."), True)


def _told_apart(name: str, near: str, as_it_is: bool) -> str:
    safe = _NOT_IN_A_NAME.sub("-", near)
    plain = safe == near and as_it_is and 0 < len(near) < 100
    return safe if plain else f"{safe[:80]}-{blake2b(name.encode(), digest_size=4).hexdigest()}"


def _script_safe(value: Sequence[Any]) -> str:
    """JSON that can stand in a script: nothing in it ends the script or a line."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
