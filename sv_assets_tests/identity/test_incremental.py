"""Work in any portions, killed at any write, ends as one full run over the final data does: ids aside, which are for life."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sv_assets.identity.compared import Description, compared_form
from sv_assets.identity.scoring import predict
from sv_assets.identity.workbench import open_workbench, prepare
from sv_assets.mongo import Store
from sv_assets_tests.examples import examples
from sv_assets_tests.identity.small_estate import (
    HOMES,
    IDENTIFIERS,
    Crash,
    Decided,
    Estate,
    Limits,
    Run,
    Undone,
    Written,
    at_once,
    descriptions,
    estate,
    histories,
    limits,
    live_through,
    make_limits,
    patched,
    plain_predict,
)

CHECKS = list(HealthCheck)
JOHN = Description(first=("John",), last=("Smith",), emails=("a@x.com",))


@settings(max_examples=examples(5), deadline=None, phases=[Phase.reuse, Phase.generate], suppress_health_check=CHECKS)
@given(limits, histories)
def test_any_history_ends_as_one_full_run(store: Store, limits: Limits, history: list[Any]) -> None:
    live_through(store, limits, history)


@pytest.mark.soak
@settings(max_examples=3000, deadline=None, suppress_health_check=CHECKS)
@given(limits, histories)
def test_thousands_of_histories_end_as_one_full_run(store: Store, limits: Limits, history: list[Any]) -> None:
    live_through(store, limits, history)


@settings(max_examples=examples(1), deadline=None, suppress_health_check=CHECKS)
@given(st.lists(descriptions, min_size=20, max_size=20), limits)
def test_the_plain_statement_that_stands_in_for_splink_here_says_what_it_says(
    described: list[Description], limits: Limits
) -> None:
    with open_workbench(limits.settings, IDENTIFIERS) as bench:
        placeholders = limits.settings.values_of_nobody
        forms = [compared_form(each, placeholders) for each in described]
        bench.add(prepare(str(n), form, limits.settings) for n, form in enumerate(forms))
        bench.execute("insert into pair select x.n, y.n from record x join record y on x.n < y.n")
        compared = limits.model.comparisons
        columns = ["n_l", "n_r", "match_weight", *(f"gamma_{c.name}" for c in compared)]
        columns += [f"mw_tf_adj_{c.name}" for c in compared if c.frequency]
        said = []
        for by in (predict, plain_predict):
            table = by(bench, limits.model, "pair", wide=True)
            rows = bench.execute(f"select {', '.join(columns)} from {table} order by 1, 2").fetchall()
            said.append([pytest.approx([value or 0 for value in row]) for row in rows])
        assert [list(row.expected) for row in said[0]] == said[1]


# --- what once went wrong ---------------------------------------------------------------------------------------------


def lives(store: Store, *history: Any, **changed: Any) -> None:
    live_through(store, make_limits(**changed), list(history))


def same_email(*records: str) -> list[Written]:
    return [
        Written(record, Description(first=("John",), last=(f"{record}son",), emails=("a@x.com",))) for record in records
    ]


def test_a_block_that_fills_up_portion_by_portion_is_left_out_for_those_who_were_there_before(store: Store) -> None:
    lives(
        store,
        (same_email("r1", "r2"), Run(50)),
        (same_email("r3", "r4", "r5", "r6"), Run(1)),
        at_most=2,
        fan_out=9,
        matches=0.1,
    )


def test_a_block_that_empties_portion_by_portion_counts_again_for_those_who_stay(store: Store) -> None:
    gone = [
        Written(record, Description(first=("Mary",), last=(f"{record}son",))) for record in ("r3", "r4", "r5", "r6")
    ]
    lives(
        store,
        (same_email("r1", "r2", "r3", "r4", "r5", "r6"), Run(50)),
        (gone, Run(1)),
        at_most=3,
        fan_out=9,
        matches=0.1,
    )


def test_a_telephone_that_too_many_use_portion_by_portion_is_no_evidence_for_those_before(store: Store) -> None:
    def people(*names: str) -> list[Written]:
        return [
            Written(f"r{ord(name[0]) - 64}", Description(first=(name,), last=("Jones",), phones=("07700 900123",)))
            for name in names
        ]

    lives(store, (people("Ann", "Ann B"), Run(50)), (people("Bob", "Cid", "Dan", "Eve"), Run(1)), fan_out=1, at_most=5)


def test_a_dead_value_does_not_stop_the_run(store: Store) -> None:
    dead = [
        Written(r, Description(first=(r,), last=(f"{r}son",), emails=("a@x.com", "b@x.com"))) for r in ("ann", "bob")
    ]
    lives(store, (dead, Run(50)), (dead[:1], Run(50, full=True)), fan_out=1)


@pytest.mark.parametrize(
    ("full", "each"), [(False, 4), (True, 6), *(pytest.param(f, 1, marks=pytest.mark.soak) for f in (0, 1))]
)
def test_a_run_killed_at_any_write_whose_records_change_before_the_next_one_ends_as_if_it_had_not_been(
    store: Store, full: bool, each: int
) -> None:
    """What is most easily lost: merges that come otherwise, homes, links on no work list."""
    home = descriptions_at_home()
    limits = make_limits(threshold=-4.0, matches=0.1)
    with patched(limits):
        for write in range(each, 60, each):
            with estate(store, limits) as lived:
                for change in [
                    Written("r1", home[0]),
                    Written("r2", home[1]),
                    Written("r3", home[2]),
                    Written("r4", JOHN),
                ]:
                    lived.change(change)
                lived.run(Run(50))
                lived.check()
                lived.change(Written("r1", home[0], same_as=("r2",)))
                lived.change(Decided("same", "r3", "r4"))
                if not killed(lived, write, bool(full)):
                    break
                lived.change(Written("r1", home[0], same_as=("r4",)))
                lived.change(Undone(0))
                lived.run(Run(50))
                lived.check()
                lived.change(Written("r1", home[0]))
                lived.change(Written("r2", None))
                lived.run(Run(50))
                lived.check()
                if write % (4 * each) == 0:
                    assert at_once(store, lived) == lived.outcome()
        else:
            raise AssertionError("the run has more writes than expected")
    assert write > 8


def killed(lived: Estate, write: int, full: bool) -> bool:
    try:
        lived.run_once(Run(50, full=full), write)
    except Crash:
        return True
    return False


def descriptions_at_home() -> list[Description]:
    return [
        Description(first=("Jane",), last=("Smith",), addresses=(HOMES[0],)),
        Description(first=("Peter",), last=("Smith",), addresses=(HOMES[0],)),
        Description(first=("Mary",), last=("Smith",), addresses=(HOMES[0], HOMES[2])),
    ]


def test_conflicts_that_are_not_declared_do_not_hide_those_that_are(store: Store) -> None:
    people = [
        Written("r1", Description(first=("John",), last=("Smith",), phones=("07700 900123",), born="1980-03-07")),
        Written("r2", Description(last=("Smith",), phones=("07700 900123",))),
        Written("r3", Description(first=("Mary",), last=("Smith",), phones=("07700 900123",), born="2008-09-21")),
    ]
    lives(store, (people, Run(1)), fan_out=5, conflicts=["birth_date"], matches=0.1)


def test_a_customer_is_not_closed_because_one_that_it_took_in_was_once_anchored_elsewhere(store: Store) -> None:
    apart = Description(first=("John",), last=("Smith",), emails=("b@x.com",))
    lives(
        store,
        ([Written("r1", JOHN), Written("r2", apart)], Run(50)),
        ([Written("r2", JOHN)], Run(50)),
        ([Written("r2", Description(first=("Mary",), last=("Jones",)))], Run(50)),
        ([Written("r2", Description(first=("Mary",), last=("Jones",), emails=("c@x.com",)))], Run(50)),
    )
