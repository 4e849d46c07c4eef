"""Which fields of a document are seen: what no path names is not."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.access.fields import PATH, Fields, expanded

NAMES = st.sampled_from(["a", "b", "c"])
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
).map(lambda value: {"a": value, "b": value})
PATHS = st.builds(
    lambda names, deep: ".".join([*names, *(["**"] if deep else [])]),
    st.lists(st.one_of(NAMES, st.just("*")), min_size=1, max_size=3),
    st.booleans(),
)


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """All values that are no object and no list, with their paths."""
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in leaves(item, f"{path}.{name}" if path else name)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item, path)]
    return [(path, value)]


def matches(pattern: str, path: str) -> bool:
    """Said once more, by a regular expression."""
    text = re.escape(pattern).replace(r"\.\*\*", r"(?:\.[a-c]+)*").replace(r"\*", "[a-c]+")
    return re.fullmatch(text, path) is not None


@given(DOCUMENTS, st.sets(PATHS, max_size=4))
def test_exactly_the_values_that_a_path_names_are_seen(document: dict[str, Any], paths: set[str]) -> None:
    seen = Fields(dict.fromkeys(paths, "clear")).of(document)
    wanted = [(p, v) for p, v in leaves(document) if any(matches(pattern, p) for pattern in paths)]
    assert [leaf for leaf in leaves(seen) if leaf[1] is not None] == [leaf for leaf in wanted if leaf[1] is not None]


@given(DOCUMENTS, PATHS)
def test_what_is_masked_keeps_its_shape_and_none_of_its_values(document: dict[str, Any], path: str) -> None:
    clear, masked = Fields({path: "clear"}).of(document), Fields({path: "masked"}).of(document)
    shown = leaves(masked)
    assert [p for p, _ in shown] == [p for p, _ in leaves(clear)]
    assert all(value is None or "***" in value or value == "" for _, value in shown)


def test_the_most_exact_path_counts() -> None:
    fields = Fields({"a.**": "clear", "a.*.secret": "hidden", "a.x.secret": "masked", "a.x.deep.**": "hidden"})
    document = {"a": {"x": {"secret": "abc", "deep": {"y": 1}, "z": 1}, "w": {"secret": "abc", "z": [{"secret": 2}]}}}
    assert fields.of(document) == {"a": {"x": {"secret": "a***", "z": 1}, "w": {"z": [{"secret": 2}]}}}


def test_a_path_to_an_object_shows_nothing_of_what_is_in_it() -> None:
    assert Fields({"a": "clear"}).of({"a": {"b": 1}, "c": 2}) == {"a": {}}


def test_braces_are_either() -> None:
    assert list(expanded("{a,b}.{c,d.{e,f}}.g")) == ["a.c.g", "a.d.e.g", "a.d.f.g", "b.c.g", "b.d.e.g", "b.d.f.g"]
    assert all(PATH.fullmatch(path) for path in expanded("{a,b_1}.*.**"))


@pytest.mark.parametrize("wrong", ["", "a..b", "a.**.b", "**.a", "{a,b", "a b", ".a", "a.", "a.***"])
def test_what_is_no_path_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"no path|not closed"):
        list(expanded(wrong))
