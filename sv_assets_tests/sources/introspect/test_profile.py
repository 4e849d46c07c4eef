"""A profile tells shares, lengths and shapes, and never a value of a person."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.sources.introspect.profile import shape
from sv_assets_tests.examples import examples
from sv_assets_tests.sources.introspect.conftest import Introspected
from sv_assets_tests.sources.introspect.samples import CHINOOK

SECRETS = ("Zebedee", "Quartermaine", "zebedee.q@example.org", "07700 900982", "SW1A 2AA", "1971-03-09")
CUSTOMER = (
    "CREATE TABLE Customer (Id INT NOT NULL PRIMARY KEY, FirstName NVARCHAR(50), LastName NVARCHAR(50), Email NVARCHAR(99), "
    "Phone VARCHAR(20), Postcode VARCHAR(9), DateOfBirth DATE, Points INT)"
)


def test_shapes_show_letters_as_a_and_digits_as_9() -> None:
    assert shape("SW1A 2AA", personal=True) == "AA9A 9AA"
    assert shape("ann.o'brien@x.org", personal=True) == "AAA.A'AAAAA@A.AAA"
    assert shape("§¶ 7\u0663 Ж\n", personal=True) == "?? 99 A?"
    assert shape("§", personal=False) == "§"
    assert shape("x" * 1000, personal=False) == "A" * 40 + "…"


def test_a_profile_has_shares_counts_lengths_and_the_top_shapes(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY, Code VARCHAR(9), Picture BLOB)")
    shop.script("INSERT INTO A VALUES (1, 'AB-1', x'00ff'), (2, 'CD-2', NULL), (3, 'CD-2', x'00'), (4, NULL, NULL)")
    profile = {p["column"]: p for p in shop.introspect("--sample", "100")["tables"][0]["profile"]}
    assert profile["Code"] == {
        "column": "Code", "type": "varchar(9)", "nulls": 0.25, "distinct": 2, "shortest": 4, "longest": 4,
        "patterns": [["AA-9", 0.75]], "personal": False,
    }  # fmt: skip
    assert (profile["Picture"]["shortest"], profile["Picture"]["longest"], profile["Picture"]["distinct"]) == (
        1,
        2,
        None,
    )


def test_a_sample_is_no_larger_than_asked_for(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Id INT NOT NULL PRIMARY KEY)")
    shop.script(
        "INSERT INTO A WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT i FROM n"
    )
    assert shop.introspect("--sample", "20")["tables"][0]["profile"][0]["distinct"] == 20


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_planted_value_of_a_person_is_shown_or_written(shop: Introspected, options: tuple[str, ...]) -> None:
    shop.script(CUSTOMER)
    with closing(sqlite3.connect(shop.catalogued.database)) as connection, connection:
        connection.executemany(
            "INSERT INTO Customer VALUES (?, ?, ?, ?, ?, ?, ?, 5)", [(n, *SECRETS) for n in range(3)]
        )
    result = shop.run("shop", "--sample", "100", *options)
    assert result.exit_code == 0
    for secret in SECRETS:
        assert secret not in result.output + shop.text
    assert "AAAAAAA" in result.output


@pytest.mark.parametrize("database", [CHINOOK])
def test_sampling_writes_nothing_of_the_profile(shop: Introspected, database: str) -> None:
    shop.script(database)
    shop.introspect()
    before = shop.text
    shop.introspect("--sample", "5")
    assert shop.text == before


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=6))
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_text_of_a_personal_column_comes_through(shop: Introspected, tmp_path: Path, values: list[str]) -> None:
    """Unless it has neither a letter nor a digit that is not its own shape: `A` and `9` are shapes of themselves."""
    shop.catalogued.database.unlink()
    shop.script(CUSTOMER)
    texts = [value.encode("utf-8", "replace").decode().replace("\0", "") for value in values]
    with closing(sqlite3.connect(shop.catalogued.database)) as connection, connection:
        connection.executemany("INSERT INTO Customer (Id, LastName) VALUES (?, ?)", enumerate(texts * 2))
    shop.file.unlink(missing_ok=True)
    told = {p["column"]: p for p in shop.introspect("--sample", "100")["tables"][0]["profile"]}["LastName"]
    patterns = [pattern for pattern, _ in told["patterns"]]
    for text in texts:
        if set(text) - set("A9 .,-_'@/+()&:?…"):
            assert text not in patterns
    assert all(set(pattern) <= set("A9 .,-_'@/+()&:?…") for pattern in patterns)
    json.dumps(told)
