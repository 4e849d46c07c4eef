"""The data dictionary as a site: whole, linked, the same each time, and safe to open whatever a declaration says."""

import re
import time
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote

import pytest

from sv_assets.catalogue import Catalogue, load_catalogue, sources_of
from sv_assets.catalogue.model import SqlServerSystemModel
from sv_assets.dictionary import AssetSaid, CheckSaid
from sv_assets.dictionary.site import Dictionary, pages, write_site
from sv_assets.errors import ConfigurationError
from sv_assets_tests.sources.shop import Shop

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>\"'`{{ 7*7 }}"
ASSETS = (
    AssetSaid("contact_centre/lookup", "What an agent sees.", columns={"mail": (("single_view/customers", "emails"),)}),
    AssetSaid(
        "landing/crm/customer",
        checks=(CheckSaid("quarantine_empty", "No row waits.", False), CheckSaid("keys", "Every row has one.", True)),
    ),
)


class Page(HTMLParser):
    """The links, ids and scripts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.events: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value or "")
            elif name == "id":
                self.ids.append(value or "")
            elif name.startswith("on"):
                self.events.append(name)


@pytest.fixture(scope="module")
def site() -> dict[str, str]:
    return pages(Dictionary(load_catalogue(), ASSETS))


def broken_links(site: dict[str, str]) -> list[tuple[str, str]]:
    parsed = {name: Page(text) for name, text in site.items() if name.endswith(".html")}
    broken = []
    for name, page in parsed.items():
        for link in page.links:
            path, _, part = link.partition("#")
            target = normpath(join(dirname(name), unquote(path))) if path else name
            if target not in site or (part and part not in parsed[target].ids):
                broken.append((name, link))
    return broken


def test_every_link_leads_somewhere_and_no_id_stands_twice(site: dict[str, str]) -> None:
    assert broken_links(site) == []
    for name, text in site.items():
        ids = Page(text).ids
        assert len(ids) == len(set(ids)), name


def test_nothing_is_loaded_from_elsewhere(site: dict[str, str]) -> None:
    for name, text in site.items():
        assert not re.search(r"(src|href)=\"(https?:)?//|@import|url\(", text), name


def test_there_is_a_page_on_everything(site: dict[str, str]) -> None:
    for name in ("index", "system/crm", "source/crm.customer", "source/web.web_account_events", "station/identity.party_records",
                 "station/single_view.customers", "field/emails", "consumer/contact_centre.lookup"):  # fmt: skip
        assert f"{name}.html" in site


def test_a_column_leads_on_to_the_customer_and_back(site: dict[str, str]) -> None:
    assert "../field/emails.html" in Page(site["source/crm.customer.html"]).links
    assert "../source/crm.customer.html#c-Email" in Page(site["field/emails.html"]).links
    assert "../consumer/contact_centre.lookup.html#c-mail" in Page(site["field/emails.html"]).links
    assert "quarantine_empty" in site["source/crm.customer.html"]


def test_the_same_catalogue_makes_the_same_bytes(site: dict[str, str]) -> None:
    assert pages(Dictionary(load_catalogue(), ASSETS)) == site


def test_what_a_declaration_says_is_text(shop: Shop) -> None:
    quoted = HOSTILE.replace("'", "''")
    rest = [
        f"description: '{quoted}'",
        f"pii: {{'{quoted}': contact}}",
        f"columns: {{'{quoted}': '{quoted}', Id: int}}",
        f"foreign_keys: [{{columns: ['{quoted}'], table: '{quoted}', key: [Id]}}]",
        f"feeds: {{party: {{email: '{quoted}'}}}}",
    ]
    shop.declare(f"'dbo.{quoted}'", rest=rest)
    hostile = AssetSaid(
        f"x/{HOSTILE}", HOSTILE, owners=(HOSTILE,), columns={HOSTILE: (("single_view/customers", "emails"),)}
    )
    found = pages(Dictionary(shop.catalogue, (hostile,), ui="http://127.0.0.1:3000"))
    plain = pages(Dictionary(load_catalogue(shop.catalogued.directory), ()))
    assert len(found) == len(plain) + 1
    for name, text in found.items():
        assert re.fullmatch(r"[a-zA-Z0-9_./-]+", name)
        page = Page(text)
        assert not page.events and "img" not in page.tags, name
        assert page.tags.count("script") == (2 if name.endswith(".html") else 0), name
        assert "49" not in re.sub(r"[0-9a-f]{8}|--?[\w]+", "", text.split("</style>")[-1]), name
    assert [link for _, link in broken_links(found) if not link.startswith("http://127.0.0.1:3000/assets/")] == []


def test_stale_pages_go_and_folders_of_others_are_left_alone(site: dict[str, str], tmp_path: Path) -> None:
    write_site(site, tmp_path / "site")
    smaller = {name: text for name, text in site.items() if name != "source/crm.customer.html"}
    write_site(smaller, tmp_path / "site")
    written = {str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").rglob("*") if p.is_file()}
    assert written == smaller.keys()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="holds other files"):
        write_site(site, tmp_path / "other")


def test_five_hundred_tables_are_written_in_seconds() -> None:
    feeds = {"party": {"email": "C1", "name": {"last": "C2"}, "phone": ["C3", "C4"]}}
    entry = {
        "key": ["Id"],
        "capture": {"mode": "snapshot"},
        "columns": {"Id": "int", **{f"C{n}": "int" for n in range(10)}},
        "feeds": feeds,
    }
    system = SqlServerSystemModel.model_validate(
        {
            "system": "shop",
            "connection": "x",
            "owners": ["team:shop"],
            "tables": [{"name": f"dbo.T{n}", **entry} for n in range(500)],
        }
    )
    started = time.process_time()
    assert len(pages(Dictionary(Catalogue(tuple(sources_of(system)))))) > 500
    assert time.process_time() - started < 20
