"""Learning: whatever the patterns, a model is made of probabilities, and of the same ones for the same patterns."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.identity.compared import Description, PostalAddress, compared_form
from sv_assets.identity.comparisons import comparisons
from sv_assets.identity.model import Model, Patterns, built_in, learn
from sv_assets.identity.scoring import train
from sv_assets.identity.settings import load_settings
from sv_assets.identity.workbench import open_workbench, prepare
from sv_assets_tests.examples import examples

IDENTIFIERS = ("loyalty_card",)
COMPARED = comparisons(IDENTIFIERS)


def check(model: Model) -> None:
    for name, levels in model.levels.items():
        for kind in ("same", "chance", "household"):
            shares = [getattr(level, kind) for level in levels]
            assert all(0 < share < 1 for share in shares), (name, kind, shares)
        for kind in ("same", "chance"):
            assert math.isclose(sum(getattr(level, kind) for level in levels), 1, abs_tol=1e-9), (name, kind)
        for level in levels:
            assert math.isfinite(level.against_strangers) and math.isfinite(level.against_household)
    assert 0 < model.matches < 1
    assert model.households is None or 0 < model.households < 1
    assert math.isfinite(model.start_against_strangers)
    assert Model.from_document(model.as_document()) == model


def timeless(model: Model) -> Model:
    return dataclasses.replace(model, created_at=None)


@st.composite
def patterns(draw: st.DrawFn) -> Patterns:
    rows = draw(
        st.lists(st.tuples(*(st.integers(-1, len(c.observed) - 1) for c in COMPARED)), max_size=12, unique=True)
    )
    number = st.sampled_from([1.0, 2.0, 50.0, 1e4, 1e8])
    pairs = [draw(number) for _ in rows]
    chance = [
        np.array([draw(st.sampled_from([0.0, 0.0, 1.0, 1e3, 1e12])) for _ in c.observed], dtype=np.float64)
        for c in COMPARED
    ]
    return Patterns(
        levels=np.array(rows, dtype=np.int64).reshape(-1, len(COMPARED)),
        pairs=np.array(pairs, dtype=np.float64),
        chance=chance,
        all_pairs=draw(st.sampled_from([0.0, 1.0, 1e3, 1e12])) + sum(pairs),
    )


@settings(max_examples=examples(30), deadline=None)
@given(patterns())
def test_a_model_is_made_of_probabilities(found: Patterns) -> None:
    check(learn(found, IDENTIFIERS))


@settings(max_examples=examples(20), deadline=None)
@given(patterns(), st.randoms())
def test_the_same_patterns_in_any_order_make_the_same_model(found: Patterns, chance: Any) -> None:
    model = learn(found, IDENTIFIERS)
    assert timeless(learn(found, IDENTIFIERS)) == timeless(model)
    order = list(range(len(found.pairs)))
    chance.shuffle(order)
    shuffled = learn(dataclasses.replace(found, levels=found.levels[order], pairs=found.pairs[order]), IDENTIFIERS)
    assert (shuffled.households is None) == (model.households is None)
    for name, levels in model.levels.items():
        for one, other in zip(levels, shuffled.levels[name], strict=True):
            assert dataclasses.astuple(other) == pytest.approx(dataclasses.astuple(one), rel=1e-6)


def test_the_built_in_model_is_made_of_probabilities() -> None:
    for identifiers in ((), IDENTIFIERS):
        model = built_in(identifiers)
        assert Model.from_document(model.as_document()) == model
        for levels in model.levels.values():
            assert all(0 < share < 1 for level in levels for share in dataclasses.astuple(level))


def test_the_levels_of_the_built_in_model_sum_to_one() -> None:
    for levels in built_in(IDENTIFIERS).levels.values():
        assert sum(level.same for level in levels) == pytest.approx(1, abs=0.002)
        assert sum(level.chance for level in levels) == pytest.approx(1, abs=0.002)


PEOPLE = {
    "nobody": [],
    "one": [Description(first=("John",), last=("Smith",))],
    "two": [Description(first=("John",), last=("Smith",)), Description(first=("Jon",), last=("Smith",))],
    "all the same": [Description(first=("John",), last=("Smith",), emails=("a@x.com",))] * 40,
    "one first name": [Description(first=("John",), last=(f"{chr(97 + n % 26)}son",)) for n in range(40)],
    "nothing known": [Description()] * 40,
    "only telephones": [Description(phones=(f"07700 9{n:05d}",)) for n in range(0, 80_000, 2_000)],
    "only birth dates, all the same": [Description(born="1980-03-07")] * 40,
}


@pytest.mark.parametrize("who", PEOPLE)
def test_any_few_records_can_be_learnt_from(who: str) -> None:
    settings = load_settings()
    models = []
    for order in (1, -1):
        with open_workbench(settings, IDENTIFIERS) as bench:
            forms = [compared_form(each, settings.values_of_nobody) for each in PEOPLE[who]]
            numbered = list(enumerate(forms))[::order]
            bench.add(prepare(f"r{n:03d}", form, settings) for n, form in numbered)
            bench.judge_blocks()
            models.append(train(bench))
    if models[0].created_at is not None:  # else there was too little to learn from, and it is the built-in one
        check(models[0])
    assert timeless(models[0]).levels.keys() == models[1].levels.keys()
    for name, levels in models[0].levels.items():
        for one, other in zip(levels, models[1].levels[name], strict=True):
            assert dataclasses.astuple(other) == pytest.approx(dataclasses.astuple(one), rel=1e-6), name


def test_addresses_that_are_missing_do_not_agree() -> None:
    settings = load_settings()
    with open_workbench(settings, ()) as bench:
        people = [Description(first=(f"{chr(97 + n % 26)}an",), last=(f"{chr(97 + n // 26)}son",)) for n in range(300)]
        people += [
            dataclasses.replace(
                person, addresses=(PostalAddress(f"{n} High Street", None, f"town{n}", None, "YO1 7HH"),)
            )
            for n, person in enumerate(people[:30])
        ]
        bench.add(
            prepare(f"r{n:03d}", compared_form(p, settings.values_of_nobody), settings) for n, p in enumerate(people)
        )
        bench.judge_blocks()
        assert train(bench).levels["place"][0].chance < 0.01
