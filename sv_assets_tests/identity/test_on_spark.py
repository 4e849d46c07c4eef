"""Spark: it says what DuckDB says, pair by pair, and says what it lacks where it is not installed."""

import builtins
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from sv_assets.errors import ConfigurationError
from sv_assets.identity.compared import Description, PostalAddress, compared_form
from sv_assets.identity.comparisons import DIALECTS, comparisons
from sv_assets.identity.model import Model, built_in
from sv_assets.identity.on_spark import CONFIGURED_BY, _spark
from sv_assets.identity.scoring import predict, score
from sv_assets.identity.settings import load_settings
from sv_assets.identity.workbench import Workbench, open_workbench, prepare

pytestmark = pytest.mark.timeout(900)  # a Spark session takes its time to start

IDENTIFIERS = ["loyalty_card", "passport"]
CONDITIONS = [
    (comparison.name, level.name, level.condition)
    for comparison in comparisons(IDENTIFIERS)
    for level in comparison.levels
    if level.condition
]
FIRST = ["Jane", "Jonathan", "Jon", "Liz", "Elizabeth", "Mohammed", "Muhammad", "Li", "Michaela", "Zoë", "J"]
FIRST += ["Иван", "Иванна", "小明", "𠮷子", "محمد", "अमित"]
LAST = ["Smith", "Smyth", "O'Brien", "Macdonald", "Coulston", "Collinson", "Smith-Jones", "Wu", "Müller", "Jane"]
LAST += ["Петров", "Петрова", "王", "محمود"]
STREETS = ["High Street", "St John's Road", "Nelson Place", "Carnall Close", "Sheperdson Way", "улица Ленина"]
TOWNS = [("Leeds", "LS1 4AP"), ("London", "SE1 9AA"), ("Toronto", "M5V 2T6"), ("Carnegie", None), ("Москва", "101000")]


@pytest.fixture
def spark() -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed: pip install 'sv-assets[spark]'")
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("Java is not installed")


@pytest.fixture
def bench() -> Iterator[Workbench]:
    """300 records of some 60 people, mistyped and with gaps, in 9,000 pairs."""
    settings = load_settings()
    draw = random.Random(11)
    people = [_person(draw) for _ in range(60)]
    with open_workbench(settings, IDENTIFIERS) as bench:
        bench.add(
            prepare(str(n), compared_form(_as_written(draw, draw.choice(people)), settings.values_of_nobody), settings)
            for n in range(300)
        )
        for column in ("mobiles", "emails", "places", "surnames", "id_passport"):
            bench.execute(f"update record set {column} = [] where n % 23 = {len(column)}")
        bench.execute(
            "insert into pair select x.n, y.n from record x join record y on x.n < y.n where (x.n + y.n) % 5 = 0"
        )
        yield bench


@pytest.fixture
def model() -> Model:
    shares = {"first": {"jane": 0.2, "": 0.001}, "last": {"smith": 0.1, "": 0.001}, "born": {"1980-03-07": 0.05}}
    return Model(**{**vars(built_in(IDENTIFIERS)), "frequencies": shares})


@pytest.mark.parametrize(("comparison", "level", "condition"), CONDITIONS)
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_condition_is_sql_in_both_dialects(dialect: Any, comparison: str, level: str, condition: str) -> None:
    rendered = dialect.render(condition)
    assert "{" not in rendered
    assert sqlglot.parse_one(rendered, dialect=dialect.name)


def test_every_comparison_sees_most_of_its_levels_in_these_records(bench: Workbench, model: Model) -> None:
    predicted = predict(bench, model, "pair", wide=True)
    for comparison in model.comparisons:
        seen = bench.one(f"select count(distinct gamma_{comparison.name}) from {predicted}")
        assert seen > len(comparison.levels) / 2, comparison.name


def test_each_condition_alone_holds_for_the_same_pairs_on_spark_as_on_duckdb(spark: None, bench: Workbench) -> None:
    columns = dict.fromkeys(column for comparison in comparisons(IDENTIFIERS) for column in comparison.columns)
    sides = ", ".join(f"{record}.{column} as {column}_{side}" for record, side in ("xl", "yr") for column in columns)
    bench.execute(
        f"create table side as select l, r, {sides} from pair join record x on x.n = l join record y on y.n = r"
    )

    def held(dialect: str) -> str:
        conditions = (DIALECTS[dialect].render(condition) for _, _, condition in CONDITIONS)
        return f"select {', '.join(f'coalesce({c}, false) as c{n}' for n, c in enumerate(conditions))} from side order by l, r"

    with _spark(bench.settings.engine) as session:
        session.createDataFrame(bench.connection.sql("from side").to_arrow_table()).createOrReplaceTempView("side")
        theirs = zip(*session.sql(held("spark")).collect(), strict=True)
    ours = zip(*bench.execute(held("duckdb")).fetchall(), strict=True)
    for (comparison, level, _), our, their in zip(CONDITIONS, ours, theirs, strict=True):
        assert any(our) and not all(our), f"{comparison} {level} is put to no test"
        assert our == their, f"{comparison} {level}"


@pytest.mark.parametrize("wide", [True, False])
def test_spark_compares_and_weighs_every_pair_as_duckdb_does(
    spark: None, bench: Workbench, model: Model, wide: bool
) -> None:
    ours = predict(bench, model, "pair", wide=wide)
    _use_spark(bench)
    theirs = predict(bench, model, "pair", wide=wide)

    columns = _columns(bench, ours)
    assert _columns(bench, theirs) == columns
    near = [name for name, kind in columns if kind == "DOUBLE"]
    same = [name for name, kind in columns if kind != "DOUBLE"]
    assert {"n_l", "n_r"} <= set(same) and "match_weight" in near
    exact = ", ".join(same)
    assert bench.execute(f"select {exact} from {ours} except all select {exact} from {theirs}").fetchall() == []
    assert bench.one(f"select count(*) from {ours}") == bench.one(f"select count(*) from {theirs}") > 8_000
    for name in near:
        of = name[3:] if name.startswith("tf_") else "n_l"  # a value that is not there has no share that counts
        apart = f"x.{of} is not null and coalesce(abs(x.{name} - y.{name}) > 1e-9, (x.{name} is null) <> (y.{name} is null))"
        assert bench.one(f"select count(*) from {ours} x join {theirs} y using (n_l, n_r) where {apart}") == 0, name


def test_spark_fills_scored_as_duckdb_does(spark: None, bench: Workbench, model: Model) -> None:
    score(bench, model)
    bench.execute("alter table scored rename to scored_by_duckdb")
    _use_spark(bench)
    score(bench, model)
    assert _columns(bench, "scored") == _columns(bench, "scored_by_duckdb")
    for one, other in (("scored", "scored_by_duckdb"), ("scored_by_duckdb", "scored")):
        assert bench.execute(f"select * from {one} except all select * from {other}").fetchall() == []
    assert bench.one("select count(*) from scored") > 100


def test_spark_leaves_out_what_weighs_less_and_has_a_table_of_no_pairs(
    spark: None, bench: Workbench, model: Model
) -> None:
    _use_spark(bench)
    assert bench.one(f"select min(match_weight) from {predict(bench, model, 'pair', least=3.0)}") >= 3.0
    bench.execute("delete from pair")
    assert bench.one(f"select count(*) from {predict(bench, model, 'pair', wide=True)}") == 0


def test_spark_leaves_nothing_behind(spark: None, bench: Workbench, model: Model, tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    _use_spark(bench)
    predict(bench, model, "pair")
    session = SparkSession.getActiveSession()
    assert session.sparkContext._jsc.getPersistentRDDs().isEmpty()
    assert session.catalog.listTables() == []


def test_without_pyspark_the_error_names_what_to_install_and_the_way_without_it(
    bench: Workbench, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = builtins.__import__

    def without_pyspark(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] in ("pyspark", "py4j"):
            raise ModuleNotFoundError(name)
        return really(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_pyspark)
    _use_spark(bench)
    with pytest.raises(ConfigurationError, match=r"pip install 'sv-assets\[spark\]'.*Java 17.*engine.backend: duckdb"):
        predict(bench, model, "pair")


def test_without_java_the_error_names_what_to_install_and_the_way_without_it(
    bench: Workbench, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: pip install 'sv-assets[spark]'")
    monkeypatch.setattr(sql.SparkSession, "getActiveSession", lambda: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    _use_spark(bench)
    with pytest.raises(ConfigurationError, match=r"Java 17.*no java on the PATH.*engine.backend: duckdb"):
        predict(bench, model, "pair")


def _use_spark(bench: Workbench) -> None:
    for name in CONFIGURED_BY:
        assert not os.environ.get(name), f"{name} would make this test run elsewhere"
    engine = bench.settings.engine.model_copy(update={"backend": "spark"})
    bench.settings = bench.settings.model_copy(update={"engine": engine})


def _columns(bench: Workbench, table: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind, *_ in bench.execute(f"describe {table}").fetchall()]


def _person(draw: random.Random) -> dict[str, Any]:
    first, last, number = draw.choice(FIRST), draw.choice(LAST), draw.randrange(1000)
    address = [
        (f"{draw.randrange(1, 40)} {draw.choice(STREETS)}", *draw.choice(TOWNS)) for _ in range(draw.choice((1, 1, 3)))
    ]
    return {
        "title": draw.choice(["Mr", "Mrs", None]),
        "first": draw.choice([(first,), (first, draw.choice(FIRST))]),
        "last": (last,),
        "emails": (f"person.{number}@gmail.com", f"p{number}@example.org")[: draw.choice((1, 2))],
        "phones": (f"07700900{number:03}", f"0113496{number:04}"),
        "born": draw.choice(
            ["1980-03-07", "1999-01-01", f"19{number % 60 + 40}-{number % 12 + 1:02}-{number % 28 + 1:02}"]
        ),
        "addresses": address,
        "loyalty_card": (f"6335{number:06}",),
        "passport": (f"P{number:05}X", f"Q{number:05}"),
    }


def _as_written(draw: random.Random, person: dict[str, Any]) -> Description:
    """A person as one of many clerks types it: with slips, gaps, first and last name in the wrong field."""

    def typed(text: str | None) -> str | None:
        if not text or draw.random() < 0.7:
            return text
        at, letters = draw.randrange(len(text)), list(text)
        letters[at : at + 2] = draw.choice(
            [letters[at : at + 2][::-1], letters[at : at + 1], ["x", *letters[at : at + 2]]]
        )
        return "".join(letters)

    def some(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(t for v in values if draw.random() < 0.8 and (t := typed(v)))

    first, last = some(person["first"]), some(person["last"])
    if draw.random() < 0.1:
        first, last = last, first
    if draw.random() < 0.1:
        first = tuple(name[0] for name in first)
    return Description(
        title=draw.choice([person["title"], None]),
        first=first,
        last=last,
        emails=some(person["emails"]),
        phones=some(person["phones"]),
        born=draw.choice(
            [person["born"], person["born"][:5] + person["born"][8:] + person["born"][4:7], typed(person["born"]), None]
        ),
        addresses=tuple(
            PostalAddress(
                typed(line),
                draw.choice([None, "Little Barton"]),
                typed(town),
                draw.choice([None, "Kent", "Surrey"]),
                draw.choice([code, typed(code), None]),
                None,
            )
            for line, town, code in person["addresses"]
            if draw.random() < 0.8
        ),
        ids={name: some(person[name]) for name in IDENTIFIERS if draw.random() < 0.6},
    )
