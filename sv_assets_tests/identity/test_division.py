"""Division: what guards stop and what they let through, whatever the order, with humans above all."""

import time
from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.identity.division import (
    CERTAIN,
    DECIDED,
    GIVEN,
    IDENTICAL,
    MODEL,
    Division,
    Link,
    Profile,
    contradictions,
    divide,
)
from sv_assets.identity.settings import Guards, IdentitySettings, load_settings
from sv_assets_tests.examples import examples

NOBODY = Profile("", "", "", "")
FATHER = Profile("john", "smith", "m", "1950-03-07")
SON = Profile("john", "smith", "m", "1980-09-21")
WIFE = Profile("mary", "smith", "f", "1952-10-12")
JOHN = Profile("john", "smith", "", "")

profiles = st.builds(
    Profile,
    first=st.sampled_from(["", "john", "jon", "j", "mary", "smith"]),
    last=st.sampled_from(["", "smith", "jones", "john"]),
    gender=st.sampled_from(["", "", "m", "f"]),
    born=st.sampled_from(["", "", "1980-03-07", "1980-07-03", "2008-09-21"]),
    given=st.sampled_from([(), (), ("mary",)]),
)
guards = st.builds(
    Guards,
    bridge=st.sampled_from([2, 4]),
    cluster_size=st.sampled_from([2, 4, 200]),
    density=st.sampled_from([0.1, 0.9]),
    conflicts=st.sampled_from([["first_name", "title", "birth_date"], ["birth_date"], []]),
)


def with_guards(guards: Guards | None = None, **changed: Any) -> IdentitySettings:
    declared = load_settings()
    return declared.model_copy(update={"guards": guards or declared.guards, **changed})


@st.composite
def estates(draw: st.DrawFn) -> tuple[dict[str, Profile], list[Link], dict[str, Any]]:
    """Records, links and the other arguments of `divide`. Humans do not contradict themselves."""
    names = [f"r{n}" for n in range(draw(st.integers(2, 9)))]
    pairs = st.lists(st.sampled_from(list(combinations(names, 2))), max_size=16, unique=True)
    links = []
    for a, b in draw(pairs):
        reason = draw(st.sampled_from([MODEL, MODEL, MODEL, "email_and_name", GIVEN, IDENTICAL]))
        certain = {GIVEN: CERTAIN, IDENTICAL: CERTAIN - 1}
        weight = certain.get(reason) or draw(st.sampled_from([0.5, 2.0, 2.0, 5.0, 9.0, 20.0]))
        conflict = draw(st.sampled_from([None, None, None, "first_name"])) if reason == MODEL else None
        links.append(Link(a, b, weight, reason, draw(st.booleans()) if reason == MODEL else False, conflict))
    same = draw(st.lists(st.sampled_from(list(combinations(names, 2))), max_size=2))
    links += [Link(a, b, 10 * CERTAIN, DECIDED) for a, b in same]
    one = connected(names, same)
    apart = [(a, b) for a, b in draw(pairs) if one[a] != one[b]][:3]
    around = {
        "settings": with_guards(
            draw(guards), strong=draw(st.sampled_from([8.0, 30.0])), margin=draw(st.sampled_from([0.0, 3.0]))
        ),
        "households": draw(st.booleans()),
        "apart": apart,
    }
    return {name: draw(profiles) for name in names}, links, around


def connected(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    groups = {name: frozenset([name]) for name in names}
    for a, b in pairs:
        together = groups[a] | groups[b]
        groups.update(dict.fromkeys(together, together))
    return groups


def group_of(division: Division) -> dict[str, int]:
    return {record: at for at, group in enumerate(division.groups) for record in group}


def divided(records: dict[str, Profile], links: Iterable[Link], around: dict[str, Any]) -> Division:
    return divide(records, links, around["settings"], households=around["households"], apart=around["apart"])


@settings(max_examples=examples(40), deadline=None)
@given(estates(), st.randoms())
def test_division_depends_on_no_order(estate: Any, chance: Any) -> None:
    records, links, around = estate
    expected = divided(records, links, around)
    names, shuffled, apart = list(records), list(links), [(b, a) for a, b in around["apart"]]
    for items in (names, shuffled, apart):
        chance.shuffle(items)
    assert divided({name: records[name] for name in names}, shuffled, {**around, "apart": apart}) == expected


@settings(max_examples=examples(30), deadline=None)
@given(estates())
def test_division_does_not_look_at_what_records_are_called(estate: Any) -> None:
    records, links, around = estate

    def called(record: str) -> str:
        return f"crm.customer:{int(record[1:]) + 5:09d}"

    renamed = [link._replace(a=called(link.a), b=called(link.b)) for link in links]
    apart = [(called(a), called(b)) for a, b in around["apart"]]
    found = divided({called(r): p for r, p in records.items()}, renamed, {**around, "apart": apart})
    expected = divided(records, links, around)
    assert found.groups == [[called(record) for record in group] for group in expected.groups]
    assert [s.records for s in found.stopped] == [tuple(map(called, s.records)) for s in expected.stopped]


@settings(max_examples=examples(40), deadline=None)
@given(estates())
def test_humans_are_obeyed_and_what_sources_say_is_followed_unless_a_human_objects(estate: Any) -> None:
    records, links, around = estate
    division = divided(records, links, around)
    at = group_of(division)
    assert sorted(at) == sorted(records) and sum(map(len, division.groups)) == len(records)
    for a, b in around["apart"]:
        assert at[a] != at[b]
    for link in links:
        if link.reason == DECIDED:
            assert at[link.a] == at[link.b]
        if link.reason == GIVEN and not around["apart"]:
            assert at[link.a] == at[link.b]


@settings(max_examples=examples(40), deadline=None)
@given(estates())
def test_no_group_holds_a_contradiction_that_nobody_vouches_for(estate: Any) -> None:
    records, links, around = estate
    told = connected(records, ((link.a, link.b) for link in links if link.reason in (DECIDED, GIVEN)))
    wanted = set(around["settings"].guards.conflicts)
    for group in divided(records, links, around).groups if around["households"] else []:
        if any(len(told[record]) > 1 for record in group):
            continue
        for a, b in combinations(group, 2):
            assert not contradictions(records[a], records[b]) & wanted


@settings(max_examples=examples(40), deadline=None)
@given(estates())
def test_what_is_said_to_be_stopped_was_stopped_and_each_group_is_held_together_by_links(estate: Any) -> None:
    records, links, around = estate
    division = divided(records, links, around)
    at = group_of(division)
    for stopped in division.stopped:
        assert (len({at[record] for record in stopped.records}) == 1) == (stopped.guard == "density")
    kept = connected(records, ((link.a, link.b) for link in links if at[link.a] == at[link.b]))
    assert sorted(set(map(frozenset, division.groups)), key=sorted) == sorted(set(kept.values()), key=sorted)
    told = {stopped.records for stopped in division.stopped}
    for link in links:
        if at[link.a] != at[link.b] and not around["apart"]:
            assert tuple(sorted((link.a, link.b))) in told, "what is not followed is told"


@settings(max_examples=examples(30), deadline=None)
@given(estates(), estates())
def test_what_is_not_connected_does_not_touch_each_other(one: Any, other: Any) -> None:
    records, links, around = one
    theirs = {f"s{name}": profile for name, profile in other[0].items()}
    their_links = [link._replace(a=f"s{link.a}", b=f"s{link.b}") for link in other[1]]
    alone = divided(theirs, their_links, {**around, "apart": []}).groups
    together = divided({**records, **theirs}, [*links, *their_links], around)
    assert together.groups == sorted([*divided(records, links, around).groups, *alone])


@settings(max_examples=examples(40), deadline=None)
@given(profiles, profiles)
def test_a_contradiction_is_one_from_both_sides_and_none_with_oneself(a: Profile, b: Profile) -> None:
    assert contradictions(a, b) == contradictions(b, a)
    assert not contradictions(a, a) and not contradictions(a, NOBODY)


# --- guards, one by one ----------------------------------------------------------------------------------------------


def stops(records: dict[str, Profile], links: list[Link], *, households: bool = True, **changed: Any) -> list[str]:
    return [s.guard for s in divide(records, links, with_guards(**changed), households=households).stopped]


def test_a_contradiction_is_a_household_unless_the_source_says_that_it_is_one_person() -> None:
    for reason, expected in ((MODEL, ["conflict"]), ("email_and_name", ["conflict"]), (GIVEN, []), (DECIDED, [])):
        assert stops({"a": FATHER, "b": WIFE}, [Link("a", "b", 50.0, reason)]) == expected
    assert stops({"a": FATHER, "b": WIFE}, [Link("a", "b", 50.0, MODEL)], households=False) == []


def test_only_the_contradictions_that_are_declared_stop_a_link() -> None:
    both_differ = {"a": FATHER, "b": WIFE}
    for conflict in ("first_name", "title", "birth_date"):
        assert stops(both_differ, [Link("a", "b", 50.0, MODEL)], guards=Guards(conflicts=[conflict])) == ["conflict"]
    assert stops(both_differ, [Link("a", "b", 50.0, MODEL)], guards=Guards(conflicts=[])) == []


def test_father_and_son_of_one_name_stay_apart_though_a_third_record_matches_both() -> None:
    records = {"father": FATHER, "son": SON, "unknown": JOHN}
    links = [Link("father", "unknown", 20.0, "mobile_and_name"), Link("son", "unknown", 20.0, "mobile_and_name")]
    division = divide(records, links, with_guards(), households=True)
    assert division.groups == [["father", "unknown"], ["son"]]
    assert [(s.guard, s.detail) for s in division.stopped] == [("conflict", "birth_date")]


def test_a_weak_link_to_either_of_two_people_is_ambiguous() -> None:
    records = {"father": FATHER, "son": SON, "unknown": JOHN}
    links = [Link("father", "unknown", 5.0, MODEL), Link("son", "unknown", 4.0, MODEL)]
    division = divide(records, links, with_guards(), households=True)
    assert division.groups == [["father"], ["son"], ["unknown"]]
    assert {s.guard for s in division.stopped} == {"ambiguous"}
    nearer = [Link("father", "unknown", 7.5, MODEL), Link("son", "unknown", 4.0, MODEL)]
    assert divide(records, nearer, with_guards(), households=True).groups == [["father", "unknown"], ["son"]]


def test_names_alone_must_weigh_more() -> None:
    records = {"a": JOHN, "b": JOHN}
    assert stops(records, [Link("a", "b", 3.9, MODEL, name_alone=True)]) == ["name_alone"]
    assert stops(records, [Link("a", "b", 4.0, MODEL, name_alone=True)]) == []


def test_a_single_weak_link_is_no_bridge_between_two_groups_of_records() -> None:
    left, right = [f"l{n}" for n in range(4)], [f"r{n}" for n in range(4)]
    records = dict.fromkeys([*left, *right], JOHN)
    inside = [Link(a, b, 20.0, MODEL) for group in (left, right) for a, b in combinations(group, 2)]
    assert stops(records, [*inside, Link("l0", "r0", 7.0, MODEL)]) == ["bridge"]
    assert stops(records, [*inside, Link("l0", "r0", 8.0, MODEL)]) == []
    assert stops(records, [*inside, Link("l0", "r0", 7.0, MODEL), Link("l1", "r1", 7.0, MODEL)]) == []


def test_a_group_does_not_grow_without_end_and_a_large_thin_one_is_told() -> None:
    records = {f"r{n:02d}": JOHN for n in range(12)}
    names = list(records)
    chain = [Link(a, b, 5.0, MODEL) for a, b in pairwise(names)]
    small = Guards(cluster_size=3)
    assert {s.guard for s in divide(records, chain, with_guards(small), households=False).stopped} == {"size"}
    (thin,) = divide(records, chain, with_guards(Guards(density=0.5)), households=False).stopped
    assert (thin.guard, len(thin.records), thin.detail) == ("density", 12, "12 records")


def test_links_and_decisions_about_records_that_are_gone_are_no_matter() -> None:
    division = divide(
        {"a": JOHN}, [Link("a", "gone", 50.0, GIVEN)], with_guards(), households=True, apart=[("a", "gone")]
    )
    assert division == Division([["a"]], [])


@pytest.mark.parametrize("households", [True, False])
@pytest.mark.parametrize("weight", [5.0, 50.0])
@pytest.mark.parametrize("shape", ["chain", "star", "differing_star"])
def test_long_chains_and_large_stars_are_divided_in_seconds(shape: str, weight: float, households: bool) -> None:
    size = {"chain": 1_000, "star": 10_000, "differing_star": 1_000}[shape]
    names = [f"r{n:05d}" for n in range(size)]
    records = dict.fromkeys(names, JOHN)
    if shape == "differing_star":
        records = {name: JOHN._replace(given=(f"given{n}",)) for n, name in enumerate(names)}
    ends = pairwise(names) if shape == "chain" else ((names[0], name) for name in names[1:])
    started = time.process_time()
    division = divide(records, [Link(a, b, weight, MODEL) for a, b in ends], with_guards(), households=households)
    assert time.process_time() - started < 20, "of this process, however busy the machine is"
    assert len(division.groups) == (1 if weight == 50 else len(division.groups))
