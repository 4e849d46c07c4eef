"""Pairwise quality against counting every pair."""

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.local import pairwise_quality, read_truth

assignments = st.dictionaries(st.sampled_from("abcdefghijkl"), st.integers(0, 4))


def pairs(groups: dict[str, int]) -> set[frozenset[str]]:
    return {frozenset(pair) for pair in combinations(groups, 2) if groups[pair[0]] == groups[pair[1]]}


@given(assignments, assignments)
def test_counts_agree_with_enumerating_all_pairs(truth: dict[str, int], clusters: dict[str, int]) -> None:
    quality = pairwise_quality(truth.items(), clusters)
    true, predicted = pairs(truth), pairs(clusters)
    common = true & predicted
    assert quality["true_pairs"] == len(true)
    assert quality["predicted_pairs"] == len(predicted)
    assert quality["common_pairs"] == len(common)
    assert quality["precision"] == (pytest.approx(len(common) / len(predicted)) if predicted else 1.0)
    assert quality["recall"] == (pytest.approx(len(common) / len(true)) if true else 1.0)


def test_clusters_may_come_as_pairs_too() -> None:
    assert pairwise_quality([("a", 1), ("b", 1)], [("a", "x"), ("b", "x")])["recall"] == 1.0


def test_truth_is_read_as_record_and_person(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("source,key,person\ncrm.customer,100001,P000001\nweb.web_account_events,W0000101,P000001\n")
    expected = [("crm.customer:100001", "P000001"), ("web.web_account_events:W0000101", "P000001")]
    assert list(read_truth(path)) == expected
