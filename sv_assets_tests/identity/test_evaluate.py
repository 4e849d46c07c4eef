"""`sv identity evaluate`: the format of its files, its measures, and what it does with data that are out of the ordinary."""

import csv
import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.identity import write_records
from sv_assets.cli import main
from sv_assets.errors import ConfigurationError
from sv_assets.identity.compared import PostalAddress
from sv_assets.identity.evaluate import Evaluation, evaluate
from sv_assets.identity.evaluate.clustering import components, portions
from sv_assets.identity.evaluate.measures import (
    Labels,
    b_cubed,
    false_merges_per_10000,
    quality_of_clusters,
    quality_of_links,
)
from sv_assets.identity.evaluate.preparation import prepared
from sv_assets.identity.evaluate.records import describer, open_records
from sv_assets.identity.settings import IdentitySettings, load_settings

SETTINGS = load_settings()
RECORDS = 2_000
Records = Sequence[dict[str, str]]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Records of the generator, and who they are."""
    folder = tmp_path_factory.mktemp("labelled")
    write_records(RECORDS, folder / "records.csv", folder / "truth.csv")
    return folder / "records.csv", folder / "truth.csv"


@dataclass(frozen=True)
class Evaluated:
    """What came out for `labelled` with the retailer's settings, and the files it wrote."""

    evaluation: Evaluation
    clusters: Path
    links: Path


@pytest.fixture(scope="module")
def as_declared(labelled: tuple[Path, Path]) -> Evaluated:
    clusters, links = (labelled[0].with_name(name) for name in ("clusters.csv", "links.csv"))
    return Evaluated(evaluate(*labelled, SETTINGS, clusters_out=clusters, links_out=links), clusters, links)


def written(folder: Path, records: Records, entities: Iterable[tuple[str, str]] = ()) -> tuple[Path, Path]:
    columns = list(dict.fromkeys(name for record in records for name in record)) or ["record_id", "last_name"]
    with (folder / "records.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(records)
    with (folder / "truth.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("record_id", "entity_id"), *entities])
    return folder / "records.csv", folder / "truth.csv"


def evaluated(folder: Path, records: Records, entities: Iterable[tuple[str, str]] = ()) -> Evaluation:
    return evaluate(*written(folder, records, entities), SETTINGS)


def said(columns: str, line: str) -> Any:
    return describer(columns.split(","))(tuple(line.split(",")))


def labels(values: Sequence[int]) -> Labels:
    return np.array(values, dtype=np.int64)


# The format.


def test_several_values_in_a_cell_are_separated_by_semicolons() -> None:
    found = said(
        "record_id,first_name,last_name,email,phone,id_card", "1,Jane;Janet,Smith,a@b.uk; c@d.uk,07700900123;,1;2"
    )
    assert (found.first, found.last) == (("Jane", "Janet"), ("Smith",))
    assert (found.emails, found.phones, dict(found.ids)) == (
        ("a@b.uk", "c@d.uk"),
        ("07700900123",),
        {"card": ("1", "2")},
    )


def test_the_nth_values_of_the_address_columns_belong_together() -> None:
    found = said("record_id,address_line_1,town,postcode,country", "1,1 High St;2 Low St,York;,YO1 7HH;LS1 4AB,GB")
    assert found.addresses == (
        PostalAddress("1 High St", None, "York", None, "YO1 7HH", "GB"),
        PostalAddress("2 Low St", None, None, None, "LS1 4AB", None),
    )


@pytest.mark.parametrize(
    ("columns", "line", "name"),
    [
        ("record_id,first_name,last_name", "1,Mrs Jane Smith,", ((), (), "Mrs Jane Smith")),
        ("record_id,first_name", "1,Jane Smith", ((), (), "Jane Smith")),
        ("record_id,last_name", "1,Jane Smith", ((), (), "Jane Smith")),
        ("record_id,first_name,last_name", "1,,De La Cruz", ((), ("De La Cruz",), None)),
        ("record_id,first_name,last_name", "1,Jane,", (("Jane",), (), None)),
        ("record_id,first_name,last_name", "1,Jane Ann,Smith", (("Jane Ann",), ("Smith",), None)),
        ("record_id,first_name,last_name", "1,Jane Smith;Jane Jones,", (("Jane", "Jane"), ("Smith", "Jones"), None)),
    ],
)
def test_a_name_in_one_column_only_is_a_full_name(columns: str, line: str, name: tuple[Any, ...]) -> None:
    found = said(columns, line)
    assert (found.first, found.last, found.full) == name


def test_a_birth_date_that_is_none_gives_way_to_one_that_is() -> None:
    assert said("record_id,date_of_birth", "1,unknown; 1980-03-07").born == "1980-03-07"


def test_unknown_columns_and_short_rows_and_blank_lines_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(
        "\ufeffshoe_size, Last_Name ,RECORD_ID,id_card,email\n43,Smith,a,\n\n44,Jones,b,7,x@y.uk\n", "utf-8"
    )
    file = open_records(path)
    assert (file.columns, file.identifiers) == (("record_id", "last_name", "email", "id_card"), ("card",))
    assert list(file.rows()) == [("a", "Smith", "", ""), ("b", "Jones", "x@y.uk", "7")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"name,email\nJane,x@y.uk\n", "no column record_id"),
        (b"record_id,last_name\na,Smith\nb,Jones\na,Miller\n", "2 records with the record_id a"),
        (b"record_id,last_name\na,Smith\n,Jones\n", "line 3, has no record_id"),
        (b"record_id,last_name\na,Smith,Jones\n", "line 2, has 3 values for 2 columns"),
        ("record_id,last_name\na,Müller\n".encode("cp1252"), "is not UTF-8"),
        (b"record_id,email,email\na,b,c\n", "two columns email"),
        (b"record_id,id_n i\na,b\n", "needs a name of letters"),
        (b'record_id,last_name\na,"' + b"x" * 200_000 + b'"\n', "is not CSV"),
    ],
)
def test_a_file_that_is_none_of_records_is_refused_with_the_place(
    tmp_path: Path, content: bytes, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records, truth = written(tmp_path, [])
    records.write_bytes(content)
    monkeypatch.setattr(
        "sys.argv", ["sv", "identity", "evaluate", "--records", str(records), "--truth", str(truth), "--json"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    out, error = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert complaint in error


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    records, truth = written(tmp_path, [])
    with pytest.raises(ConfigurationError, match="There is no file"):
        evaluate(tmp_path / "none.csv", truth, SETTINGS)
    with pytest.raises(ConfigurationError, match="There is no file"):
        evaluate(records, tmp_path / "none.csv", SETTINGS)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        evaluate(records, truth, SETTINGS, clusters_out=tmp_path / "no" / "clusters.csv")


def test_a_truth_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="2 entities"):
        evaluated(tmp_path, [{"record_id": "a"}], [("a", "1"), ("a", "2")])


# The measures, against counting pair by pair.


def slow_quality(found: set[tuple[int, int]], entities: Sequence[int]) -> tuple[float, float]:
    true = {(a, b) for a, b in combinations(range(len(entities)), 2) if entities[a] == entities[b]}
    both = len(found & true)
    return both / len(found) if found else 1.0, both / len(true) if true else 1.0


def within(groups: Sequence[int]) -> set[tuple[int, int]]:
    return {(a, b) for a, b in combinations(range(len(groups)), 2) if groups[a] == groups[b] >= 0}


@st.composite
def groupings(draw: st.DrawFn, count: int = 2) -> list[list[int]]:
    size = draw(st.integers(0, 14))
    return [draw(st.lists(st.integers(0, 5), min_size=size, max_size=size)) for _ in range(count)]


@given(groupings())
def test_pairs_within_clusters_are_counted_right(groups: list[list[int]]) -> None:
    clusters, entities = groups
    found = quality_of_clusters(labels(clusters), labels(entities))
    assert (found.precision, found.recall) == slow_quality(within(clusters), entities)


@given(groupings(), st.sets(st.tuples(st.integers(0, 13), st.integers(0, 13))))
def test_links_and_records_that_say_the_same_are_counted_right(
    groups: list[list[int]], drawn: set[tuple[int, int]]
) -> None:
    same, entities = [value - 1 for value in groups[0]], groups[1]
    alike = within(same)
    links = sorted((a, b) for a, b in drawn if a < b < len(entities) and (a, b) not in alike)
    left, right = labels([a for a, _ in links]), labels([b for _, b in links])
    found = quality_of_links(left, right, labels(same), labels(entities))
    assert (found.precision, found.recall) == slow_quality(alike | set(links), entities)


@given(groupings())
def test_b_cubed_is_the_mean_over_records(groups: list[list[int]]) -> None:
    clusters, entities = groups
    precisions, recalls = [], []
    for cluster, entity in zip(clusters, entities, strict=True):
        together = sum(pair == (cluster, entity) for pair in zip(clusters, entities, strict=True))
        precisions.append(together / clusters.count(cluster))
        recalls.append(together / entities.count(entity))
    found = b_cubed(labels(clusters), labels(entities))
    size = len(entities)
    assert found.precision == pytest.approx(sum(precisions) / size if size else 1.0)
    assert found.recall == pytest.approx(sum(recalls) / size if size else 1.0)


@given(groupings())
def test_false_merges_are_those_who_are_not_the_majority(groups: list[list[int]]) -> None:
    clusters, entities = groups
    wrong = 0
    for cluster in set(clusters):
        members = [entity for other, entity in zip(clusters, entities, strict=True) if other == cluster]
        wrong += len(members) - Counter(members).most_common(1)[0][1]
    expected = 10_000 * wrong / len(entities) if entities else 0.0
    assert false_merges_per_10000(labels(clusters), labels(entities)) == pytest.approx(expected)


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40), st.integers(1, 9))
def test_components_are_whole_and_portions_do_not_cut_them(
    records: int, drawn: list[tuple[int, int]], size: int
) -> None:
    links = [(a % records, b % records) for a, b in drawn]
    found = components(records, labels([a for a, _ in links]), labels([b for _, b in links]))
    group = list(range(records))
    for _ in range(records):
        for a, b in links:
            group[a] = group[b] = min(group[a], group[b])
    assert found.tolist() == group
    portion = portions(found, size)
    assert len({(c, p) for c, p in zip(found.tolist(), portion.tolist(), strict=True)}) == len(set(group))
    assert sorted(set(portion.tolist()))[0] == 0


# The whole way.


def test_the_numbers_are_those_of_the_files_that_it_writes(labelled: tuple[Path, Path], as_declared: Evaluated) -> None:
    found = as_declared.evaluation
    with labelled[1].open() as file:
        entity = {row["record_id"]: row["entity_id"] for row in csv.DictReader(file)}
    with as_declared.clusters.open() as file:
        cluster = {row["record_id"]: row["cluster_id"] for row in csv.DictReader(file)}
    number = {name: n for n, name in enumerate(sorted(set(cluster.values())))}
    person = {name: n for n, name in enumerate(sorted(set(entity.values())))}
    assert list(cluster) == list(entity)
    assert found.clusters == quality_of_clusters(
        labels([number[cluster[r]] for r in entity]), labels([person[entity[r]] for r in entity])
    )
    with as_declared.links.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["one_cluster"] for row in rows} == {"True", "False"}
    assert all(
        (cluster[row["record_id_a"]] == cluster[row["record_id_b"]]) == (row["one_cluster"] == "True") for row in rows
    )
    assert found.found.links == sum(row["reason"] != "identical" and not row["conflict"] for row in rows)
    assert found.clusters.precision > 0.99
    assert found.clusters.recall > 0.85
    assert (found.unknown, found.untold) == (0, 0)
    assert list(found.as_document()) == [
        "threshold", "pairs", "clusters", "b_cubed", "false_merges_per_10000", "seconds", "peak_rss_mb",
    ]  # fmt: skip
    assert list(found.seconds) == ["read", "block", "train", "pairs", "score", "cluster", "measure", "total"]


def test_the_order_of_the_records_does_not_matter(
    labelled: tuple[Path, Path], as_declared: Evaluated, tmp_path: Path
) -> None:
    header, *rows = labelled[0].read_text(encoding="utf-8").splitlines()
    random.Random(3).shuffle(rows)
    shuffled = tmp_path / "records.csv"
    shuffled.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    clusters = tmp_path / "clusters.csv"
    first = as_declared.evaluation
    second = evaluate(shuffled, labelled[1], SETTINGS, clusters_out=clusters)
    assert first.found == second.found
    assert (first.pairs, first.clusters, first.b_cubed) == (second.pairs, second.clusters, second.b_cubed)
    assert sorted(as_declared.clusters.read_text().splitlines()) == sorted(clusters.read_text().splitlines())


def test_no_label_is_used_for_training(labelled: tuple[Path, Path], as_declared: Evaluated, tmp_path: Path) -> None:
    nothing = tmp_path / "truth.csv"
    nothing.write_text("record_id,entity_id\n", encoding="utf-8")
    untold = evaluate(labelled[0], nothing, SETTINGS)
    assert as_declared.evaluation.found == untold.found
    assert untold.untold == RECORDS
    assert (untold.clusters.precision, untold.clusters.recall, untold.b_cubed.f1) == (1.0, 1.0, 1.0)


def test_workers_prepare_what_one_process_prepares(
    labelled: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sv_assets.identity.evaluate.preparation.CHUNK", RECORDS // 8)
    file = open_records(labelled[0])
    alone = SETTINGS.model_copy(update={"engine": SETTINGS.engine.model_copy(update={"threads": 1})})
    both = SETTINGS.model_copy(update={"engine": SETTINGS.engine.model_copy(update={"threads": 2})})
    one, two = list(prepared(file, alone)), list(prepared(file, both))
    assert len(one) == 8
    assert all(a.equals(b) for a, b in zip(one, two, strict=True))


def test_a_file_with_a_header_only_gives_the_measures_of_nothing(tmp_path: Path) -> None:
    found = evaluated(tmp_path, [], [("a", "1")])
    assert (found.pairs.f1, found.clusters.f1, found.b_cubed.f1, found.false_merges_per_10000) == (1.0, 1.0, 1.0, 0.0)
    assert (found.found.records, found.unknown) == (0, 1)


def test_records_without_a_pair_that_is_true_have_full_recall(tmp_path: Path) -> None:
    records = [{"record_id": str(n), "source": "crm", "first_name": f"F{n}", "last_name": f"L{n}x"} for n in range(50)]
    found = evaluated(tmp_path, records, [(str(n), str(n)) for n in range(50)])
    assert (found.clusters.precision, found.clusters.recall) == (1.0, 1.0)


def test_ten_thousand_records_that_say_the_same_are_one_customer(tmp_path: Path) -> None:
    same = {"first_name": "Jane", "last_name": "Smith", "email": "jane@smith.uk", "date_of_birth": "1980-03-07"}
    records = [{"record_id": f"r{n}", **same} for n in range(10_000)]
    found = evaluated(tmp_path, records, [(f"r{n}", "jane") for n in range(10_000)])
    assert (found.found.clusters, found.found.largest) == (1, 10_000)
    assert (found.pairs.f1, found.clusters.f1, found.b_cubed.f1) == (1.0, 1.0, 1.0)


def test_a_phone_that_all_share_joins_nobody(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    records = [
        {"record_id": f"r{n}", "first_name": letters[n % 26] * 3 + letters[n // 26 % 26], "last_name": letters[n * 7 % 26] * 2 + letters[n // 9 % 26] * 3, "phone": "07402 555123"}
        for n in range(3_000)
    ]  # fmt: skip
    found = evaluated(tmp_path, records)
    assert found.found.dead_values == 1
    assert ("phone", 3_000) in found.found.blocks
    assert found.found.largest < 20


@pytest.mark.parametrize("name", ["Ольга Иванова", "王小明", "محمد علي", "Ωμέγα Παπαδόπουλος", "แดง ใจดี", "𝓙𝓪𝓷𝓮 Smith"])
def test_names_in_any_script_are_names(tmp_path: Path, name: str) -> None:
    contact = {"email": "someone@else.uk", "phone": "07402 555123"}
    records = [
        {"record_id": "a", "first_name": name, **contact},
        {"record_id": "b", "first_name": name, "email": contact["email"]},
        {"record_id": "c", "first_name": "Peter Miller", "email": "peter@miller.uk"},
    ]
    found = evaluated(tmp_path, records, [("a", "1"), ("b", "1"), ("c", "2")])
    assert (found.clusters.precision, found.clusters.recall) == (1.0, 1.0)


def test_a_record_with_nothing_to_identify_it_is_a_customer_of_its_own(tmp_path: Path) -> None:
    found = evaluated(tmp_path, [{"record_id": f"r{n}", "town": "", "source": "crm"} for n in range(20)])
    assert found.found.clusters == 20


def test_a_record_without_truth_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {"first_name": "Jane", "last_name": "Smith", "email": "jane@smith.uk"}
    files = written(
        tmp_path, [{"record_id": f"r{n}", **same} for n in range(3)], [("r0", "1"), ("r1", "1"), ("x", "1")]
    )
    monkeypatch.setattr(
        "sys.argv", ["sv", "identity", "evaluate", "--records", str(files[0]), "--truth", str(files[1]), "--json"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    out, error = capsys.readouterr()
    assert ended.value.code == 0
    assert json.loads(out)["clusters"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert "1 records of the truth are not among the records" in error
    assert "1 records have no truth" in error


def test_a_strong_identifier_joins_what_names_do_not(tmp_path: Path) -> None:
    records = [
        {"record_id": "a", "first_name": "Jane", "last_name": "Smith", "id_card": "6335 1234"},
        {"record_id": "b", "first_name": "Jane", "last_name": "Miller", "id_card": "63351234"},
        {"record_id": "c", "first_name": "Jane", "last_name": "Brown", "id_card": "99998888"},
    ]
    found = evaluated(tmp_path, records, [("a", "1"), ("b", "1"), ("c", "2")])
    assert (found.clusters.precision, found.clusters.recall) == (1.0, 1.0)


def test_settings_of_ones_own_count(labelled: tuple[Path, Path], as_declared: Evaluated) -> None:
    strict = IdentitySettings.model_validate({**SETTINGS.model_dump(), "threshold": 12.0})
    found = evaluate(*labelled, strict)
    assert found.threshold == 12.0
    assert found.pairs.recall < as_declared.evaluation.pairs.recall
