"""The catalogue loads as declared, and every mistake in it is one sentence that says where and what is allowed."""

import datetime as dt
import re
from pathlib import Path

import pytest

from sv_assets.catalogue import load_catalogue
from sv_assets.catalogue.capture import ModifiedAtCapture
from sv_assets.errors import ConfigurationError
from sv_assets.settings import PROJECT_ROOT
from sv_assets_tests.conftest import Catalogued

PERSON = """\
    - name: dbo.Person
      key: [PersonId]
      capture: {mode: snapshot}
      feeds: {party: {email: Email}}
"""
QUEUE = """\
type: sv_assets.components.SqsQueues
attributes:
  system: web
  owners: ["team:web"]
  queues:
    - name: web-events
      key: $.id
      version: $.version
"""


def entry(rest: str, capture: str = "{mode: snapshot}") -> str:
    return f"    - name: dbo.Order\n      key: [Id]\n      capture: {capture}\n      {rest}\n"


def mistake_in(catalogued: Catalogued) -> str:
    """The sentence a person reads: one line, in our words, without the machinery behind it."""
    with pytest.raises(ConfigurationError) as caught:
        load_catalogue(catalogued.directory)
    sentence = str(caught.value)
    assert "\n" not in sentence
    for machinery in (
        "Traceback",
        "pydantic",
        "ValidationError",
        "function-before",
        "https://",
        "_as_list",
        "Input should",
    ):
        assert machinery not in sentence
    return sentence


def test_the_projects_own_catalogue_loads() -> None:
    catalogue = load_catalogue(PROJECT_ROOT / "sv_assets" / "defs" / "legacy")
    keys = {source.key for source in catalogue.sources}
    assert {"crm.customer", "sales.orderheader", "contactcentre.call", "web.web_account_events"} <= keys
    assert "delivery.delivery_events" in keys, "the .fifo of a queue's name goes without saying"
    assert catalogue.source("crm.customer").stations == ["identity"]
    assert "orders" in catalogue.source("sales.orderheader").stations


def test_an_entry_is_read_as_it_is_declared(catalogued: Catalogued) -> None:
    catalogued.declare(PERSON + entry("page_rows: 7", "{mode: modified_at, column: ModifiedAt, lag: 2h, margin: 30s}"))
    source = load_catalogue(catalogued.directory).source("shop.order")
    assert source.table.page_rows == 7
    assert isinstance(source.table.capture, ModifiedAtCapture)
    assert source.table.capture.lag == dt.timedelta(hours=2)
    assert source.table.capture.margin == dt.timedelta(seconds=30)
    assert source.declared_at.endswith("defs.yaml:11: ")


MISTAKES = {
    "unknown word of a table": (PERSON + "      pages: 3\n", 11, "dbo.Person", "'pages'", "page_rows", "max_delete_share"),
    "unknown feed": (PERSON.replace("party:", "partie:"), 10, "dbo.Person", "'partie'", "Did you mean party?", "order_line"),
    "unknown word of a feed": (
        PERSON.replace("email:", "emial:"), 10, "dbo.Person, feeds, party", "'emial'", "Did you mean email?", "phone",
    ),
    "unknown word of a name": (
        PERSON.replace("email: Email", "name: {frist: A}"), 10, "dbo.Person", "'frist'", "first, full, last",
    ),
    "unknown word of a reference": (
        PERSON + entry("feeds: {address: {party: {tabel: dbo.Person, key: P}}}"), 14, "dbo.Order", "'tabel'", "table",
    ),
    "unknown word of a constant": (
        PERSON + entry("feeds: {address: {party: {table: dbo.Person, key: P}, kind: {cosnt: home}}}"),
        14, "dbo.Order", "'cosnt'", "const",
    ),
    "unknown word of a capture": (
        entry("", "{mode: modified_at, colunm: M}"), 9, "dbo.Order, capture", "'colunm'", "column, lag, margin, mode",
    ),
    "unknown capture mode": (
        entry("", "{mode: snapshoot}"), 9, "dbo.Order, capture", "'snapshoot'", "snapshot, modified_at, rowversion",
    ),
    "missing capture mode": (
        entry("", "{column: M}"), 9, "dbo.Order, capture", "'mode' is missing", "snapshot, modified_at, rowversion",
    ),
    "capture is not a mapping": (entry("", "snapshot"), 9, "dbo.Order, capture", "a mapping is needed", "mode"),
    "missing key": (PERSON.replace("      key: [PersonId]\n", ""), 7, "dbo.Person, key", "missing"),
    "empty key": (PERSON.replace("[PersonId]", "[]"), 8, "dbo.Person, key", "at least one"),
    "bad duration": (
        entry("", "{mode: modified_at, column: M, lag: 5 minutes}"), 9, "dbo.Order, capture, lag", "30s, 5m, 1h",
    ),
    "duration without a unit": (
        entry("", "{mode: modified_at, column: M, lag: 5}"), 9, "dbo.Order, capture, lag", "30s, 5m, 1h",
    ),
    "unknown deletes": (PERSON + "      deletes: maybe\n", 11, "dbo.Person, deletes", "'maybe'", "reconcile, ignore"),
    "unknown sensitivity": (
        PERSON + "      pii: {Email: secret}\n", 11, "dbo.Person, pii, Email", "'secret'", "contact, name, address, sensitive",
    ),
    "neither self nor a reference": (
        PERSON + entry("feeds: {order: {number: N, placed_at: P, party: sefl}}"), 14, "dbo.Order", "'sefl'", "self", "table",
    ),
    "order by id and by number": (
        entry("feeds: {payment: {order: {id: A, number: B}, amount: C}}"), 10, "dbo.Order", "`id` or by `number`",
    ),
    "partitions without a column": (
        PERSON + "      partitions: {by: day, start: 2024-01-01}\n", 7, "dbo.Person", "partitions need a `column`",
    ),
    "one word twice": (PERSON + "      key: [Other]\n", 11, "'key' stands twice"),
    "tables is not a list": ("    name: dbo.Person\n", 6, "shop", "a list is needed"),
    "a table that is empty": ("    -\n", 7, "shop", "a mapping is needed", "capture"),
    "dangling reference to a person": (
        PERSON + entry("feeds: {order: {number: N, placed_at: P, party: {table: dbo.Persn, key: K}}}"),
        11, "dbo.Order", "dbo.Persn", "Allowed: shop: dbo.Person",
    ),
    "self without a party feed": (
        entry("feeds: {order: {number: N, placed_at: P, party: self}}"), 7, "dbo.Order", "`self`", "`party` feed",
    ),
    "reference to an order nobody declares": (
        entry("feeds: {payment: {order: {id: A}, amount: C}}"), 7, "dbo.Order", "0 sources of orders", "`order` feed",
    ),
    "two tables with one slug": (PERSON + PERSON.replace("dbo.P", "p"), 11, "dbo.Person", "person", "shop.person"),
    "not YAML": (PERSON + "   - oops\n", 11, "not YAML", "indentation"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_with_file_line_entry_and_what_is_allowed(name: str, catalogued: Catalogued) -> None:
    tables, line, *expected = MISTAKES[name]
    path = catalogued.declare(str(tables))
    sentence = mistake_in(catalogued)
    assert sentence.startswith(f"{path}:{line}: ")
    for words in expected:
        assert str(words) in sentence


@pytest.mark.parametrize("kind", ["sv_assets.components.Oracle", "[a, b]", "''", "3"])
def test_an_unknown_type_names_the_known_ones(kind: str, catalogued: Catalogued) -> None:
    path = catalogued.declare(PERSON)
    path.write_text(path.read_text().replace("sv_assets.components.SqlServerSystem", kind))
    sentence = mistake_in(catalogued)
    assert sentence.startswith(f"{path}:1: type is ")
    assert "sv_assets.components.SqlServerSystem, sv_assets.components.SqsQueues" in sentence


@pytest.mark.parametrize(
    ("text", "line"),
    [("just text", 1), ("- a\n- b\n", 1), ("type: sv_assets.components.SqlServerSystem\n", 1),
     ("type: sv_assets.components.SqlServerSystem\nattributes: [1]\n", 2),
     ("type: sv_assets.components.SqlServerSystem\nattributes:\n  system: {a: b}\n", 3)],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused_with_its_line(text: str, line: int, catalogued: Catalogued) -> None:
    path = catalogued.declare("")
    path.write_text(text)
    assert mistake_in(catalogued).startswith(f"{path}:{line}: ")


def test_an_unquoted_env_reference_is_explained(catalogued: Catalogued) -> None:
    path = catalogued.declare(PERSON)
    path.write_text(path.read_text().replace('"{{ env.SHOP_SQLSERVER_URL }}"', "{{ env.SHOP_SQLSERVER_URL }}"))
    assert mistake_in(catalogued).startswith(f"{path}:4: this is not YAML")


@pytest.mark.parametrize("start", ["2024-13-01", "soon"])
def test_an_impossible_date_is_refused(start: str, catalogued: Catalogued) -> None:
    path = catalogued.declare(PERSON + f"      partitions: {{by: day, column: D, start: {start}}}\n")
    assert mistake_in(catalogued).startswith(str(path))


def test_a_file_that_is_not_utf_8_is_refused(catalogued: Catalogued) -> None:
    path = catalogued.declare(PERSON)
    path.write_bytes(path.read_text().replace("Person", "Pers\xf6n").encode("latin-1"))
    assert "not UTF-8" in mistake_in(catalogued)


@pytest.mark.parametrize(
    ("old", "new"),
    [("key: $.id", "key: id"), ("version: $.version", "version: version"),
     ("version: $.version", "version: $.version\n      pii: {email: contact}"),
     ("version: $.version", "version: $.version\n      feeds: {party: {email: account.email}}")],
)  # fmt: skip
def test_a_path_into_a_message_starts_with_its_mark(old: str, new: str, catalogued: Catalogued) -> None:
    path = catalogued.declare("", system="web")
    path.write_text(QUEUE.replace(old, new))
    sentence = mistake_in(catalogued)
    assert re.match(re.escape(str(path)) + r":\d+: web.*web-events", sentence)
    assert "$.account.id" in sentence


def test_an_empty_catalogue_says_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no defs\.yaml declares a source"):
        load_catalogue(tmp_path)


def test_a_mistyped_source_gets_the_nearest_names(catalogued: Catalogued) -> None:
    catalogued.declare(PERSON)
    with pytest.raises(ConfigurationError, match=r"Did you mean shop\.person\?"):
        load_catalogue(catalogued.directory).source("shop.persons")
