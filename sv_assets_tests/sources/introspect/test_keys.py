"""Which key a table gets, whatever it declares itself."""

from sv_assets_tests.sources.introspect.conftest import Introspected


def keys(shop: Introspected) -> dict[str, tuple[list[str], str]]:
    found = shop.introspect()
    return {t["name"].removeprefix("dbo."): (t["key"]["columns"], t["key"]["found_as"]) for t in found["tables"]}


def test_a_primary_key_comes_before_a_unique_index_and_that_before_the_data(shop: Introspected) -> None:
    shop.script(
        "CREATE TABLE A (Code TEXT NOT NULL UNIQUE, Id INT NOT NULL, Part INT NOT NULL, PRIMARY KEY (Id, Part));"
        "CREATE TABLE B (Name TEXT NOT NULL, Number INT NOT NULL, Area INT NOT NULL, UNIQUE (Area, Name), UNIQUE (Number));"
        "CREATE TABLE C (Note TEXT, Number INT); INSERT INTO C VALUES ('same', 1), ('same', 2);"
    )
    assert keys(shop) == {
        "A": (["Id", "Part"], "primary key"),
        "B": (["Number"], "unique index"),
        "C": (["Number"], "unique today"),
    }
    assert "key: [Number]  # the table has no key: this is unique in its rows today" in shop.text


def test_a_primary_key_with_nulls_in_it_is_no_key(shop: Introspected) -> None:
    """SQLite allows them, and so have files that were converted from elsewhere."""
    shop.script(
        "CREATE TABLE A (Code VARCHAR(5) PRIMARY KEY, Id INT); INSERT INTO A VALUES (NULL, 1), (NULL, 2), ('x', 3);"
        "CREATE TABLE B (Code VARCHAR(5) PRIMARY KEY, Id INT); INSERT INTO B VALUES ('y', 1), ('x', 1);"
    )
    assert keys(shop) == {"A": (["Id"], "unique today"), "B": (["Code"], "primary key")}


def test_several_columns_are_tried_together_where_none_is_unique_alone(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Shop INT, Day DATE, Hour INT, Amount FLOAT, Photo BLOB)")
    for store in range(3):
        for day in range(3):
            for hour in range(3):
                shop.script(f"INSERT INTO A VALUES ({store}, '2024-01-0{day + 1}', {hour}, 1.5, x'00')")
    assert keys(shop) == {"A": (["Shop", "Day", "Hour"], "unique today")}


def test_a_table_whose_rows_repeat_is_left_out_with_the_reason(shop: Introspected) -> None:
    shop.script(
        "CREATE TABLE Log (Line TEXT, Level INT); INSERT INTO Log VALUES ('a', 1), ('a', 1);"
        "CREATE TABLE Kept (Id INT NOT NULL PRIMARY KEY);"
    )
    found = shop.introspect()
    assert [left["name"] for left in found["left_out"]] == ["dbo.Log"]
    assert "# Left out: dbo.Log: it has no key, and rows of it are the same" in shop.text
    assert [s.name for s in shop.catalogue.sources] == ["dbo.Kept"]


def test_an_empty_table_without_a_key_gets_a_guess_that_says_so(shop: Introspected) -> None:
    shop.script("CREATE TABLE A (Note TEXT, A_Id INT NOT NULL, Amount MONEY)")
    assert keys(shop) == {"A": (["A_Id"], "guess")}
    assert "a guess by the names of its columns" in shop.text


def test_columns_and_names_that_landing_cannot_hold_leave_their_table_out(shop: Introspected) -> None:
    shop.script(
        'CREATE TABLE A (Id INT NOT NULL PRIMARY KEY, "Price.Net" MONEY);'
        'CREATE TABLE B (Id INT NOT NULL PRIMARY KEY, "_id" INT);'
        'CREATE TABLE "C.D" (Id INT NOT NULL PRIMARY KEY);'
        'CREATE TABLE "E F" (Id INT NOT NULL PRIMARY KEY); CREATE TABLE "E-F" (Id INT NOT NULL PRIMARY KEY);'
        'CREATE TABLE "顧客" (Id INT NOT NULL PRIMARY KEY);'
    )
    found = shop.introspect()
    assert [t["name"] for t in found["tables"]] == ["dbo.E F"]
    assert {left["name"] for left in found["left_out"]} == {"dbo.A", "dbo.B", "dbo.C.D", "dbo.E-F", "dbo.顧客"}
