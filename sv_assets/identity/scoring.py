"""Scoring: the weight of each candidate pair, and the training of the model, with Splink on DuckDB or Spark.

Splink compares the pairs and weighs them against strangers; the weight against the household is added to what it returns.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sv_assets.identity.comparisons import DIALECTS, DUCKDB, Comparison, comparisons
from sv_assets.identity.model import Model, Patterns, built_in, learn
from sv_assets.identity.workbench import Workbench

if TYPE_CHECKING:
    from splink import SettingsCreator
    from splink.internals.settings import Settings

RULES_REACH = 5.0
"""A rule links pairs that the model puts so far below the threshold at most; what is below has not been looked at."""
FREQUENT = 5_000
"""So many frequent values of a column are kept with the model; the rest counts as rare as the rarest of them."""
logging.getLogger("splink").setLevel(logging.ERROR)


def splink_settings(model: Model, dialect_name: str, *, wide: bool = True) -> dict[str, Any]:
    """The model as Splink's own settings, for its engine and its charts; `wide` keeps what led to each weight."""
    dialect = DIALECTS[dialect_name]
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "n",
        "probability_two_random_records_match": model.matches,
        "blocking_rules_to_generate_predictions": [],
        "retain_matching_columns": wide,
        "retain_intermediate_calculation_columns": True,
        "comparisons": [
            {
                "output_column_name": comparison.name,
                "comparison_levels": [
                    {
                        "sql_condition": dialect.render(comparison.levels[0].condition),
                        "label_for_charts": "nothing to compare",
                        "is_null_level": True,
                    },
                    *(
                        {
                            "sql_condition": dialect.render(level.condition) if level.condition else "ELSE",
                            "label_for_charts": level.name,
                            "m_probability": learnt.same,
                            "u_probability": learnt.chance,
                            **_frequency_adjusted(comparison, level.name),
                        }
                        for level, learnt in zip(comparison.observed, model.levels[comparison.name], strict=True)
                    ),
                ],
            }
            for comparison in model.comparisons
        ],
    }


def _frequency_adjusted(comparison: Comparison, level: str) -> dict[str, Any]:
    if comparison.frequency is None or level != "exact":
        return {}
    return {
        "tf_adjustment_column": comparison.frequency,
        "tf_adjustment_weight": 1.0,
        "disable_tf_exact_match_detection": True,
    }


def train(bench: Workbench) -> Model:
    """Learn a model from the records on the workbench, whose blocks have been judged. Uses no label.

    With more than `model.records` different records it learns from so many of them, the same ones every time.
    """
    settings = bench.settings.model
    _choose_sample(bench)
    size = int(bench.one("select count(*) from sample"))
    if size < 2:
        return built_in(bench.identifiers)
    compared = comparisons(bench.identifiers)
    bench.make_pairs_of("sample")
    patterns = _patterns(bench, compared, "pair")
    all_pairs = size * (size - 1) / 2
    chance = _chance(bench, compared, size, all_pairs)
    names = [comparison.name for comparison in compared]
    model = learn(
        Patterns(
            levels=np.array([row[:-1] for row in patterns], dtype=np.int64).reshape(-1, len(names)),
            pairs=np.array([row[-1] for row in patterns], dtype=np.float64),
            chance=chance,
            all_pairs=all_pairs,
        ),
        bench.identifiers,
        records=size,
        seed=settings.seed,
    )
    bench.execute("drop table sample")
    return _with_frequencies(bench, model)


def score(bench: Workbench, model: Model, least: float | None = None) -> None:
    """Fill the table `scored` with the pairs that weigh at least `least` (default: the threshold) or that a rule links.

    | column               | holds                                                                               |
    |----------------------|-------------------------------------------------------------------------------------|
    | l, r                 | numbers of the two records                                                          |
    | weight               | the weight of the pair; `strangers` and `household` are the two weights in it       |
    | rule                 | the number of the strongest rule that links it, or NULL                             |
    | name_alone           | true if nothing but names agrees fully                                              |
    | conflict             | the comparison in which they contradict each other as two people would, or NULL     |
    | level_<comparison>   | the number of the level of agreement, or NULL where there is nothing to compare     |
    | rarity_<comparison>  | bits added because the agreed value is rare, or taken off because it is frequent    |

    Also `weight_count`: how many pairs (`pairs`) have so many whole bits (`bits`), those just below the threshold too.
    """
    settings = bench.settings
    compared = model.comparisons
    household = _weight_against_household(model)
    conflicts = " ".join(
        f"when level_{c.name} = {len(c.observed) - 1} then '{c.name}'"
        for c in compared
        if c.name in settings.guards.conflicts and household
    )
    conflict = f"(case {conflicts} else null end)" if conflicts else "null::varchar"
    least = settings.threshold if least is None else least
    predicted = predict(bench, model, "pair", least=min(least, 0.0) - RULES_REACH)
    survivors = f"(select n_l as l, n_r as r, {', '.join(_weights(model))} from {predicted})"
    levels = [_level(comparison) for comparison in compared]
    if household is None:
        weight = "match_weight"
    else:
        weight = f"-log2(pow(2, least(300, -match_weight)) + pow(2, least(300, {settings.household_caution} - ({household}))))"
    rules = _rules(bench, compared)
    names = ("first_name", "surname", "title", "county")
    alone = " and ".join(f"coalesce(level_{c.name}, 1) <> 0" for c in compared if c.name not in names)
    bench.execute(
        f"""
        create or replace table weighed_pair as
        with leveled as (
            select l, r, match_weight, {", ".join(levels)}, {", ".join(_rarity(c) for c in compared if c.frequency)},
                {household or "null"} as household, {weight} as weight
            from ({_compared(bench, compared, survivors)})
        ), judged as (
            select l, r, round(match_weight, 3) as strangers, round(household, 3) as household,
                round(weight, 3) as model_weight, {rules} as rule, ({alone}) as name_alone, {conflict} as conflict,
                * exclude (l, r, match_weight, household, weight)
            from leveled
        )
        select l, r, case when rule is null then model_weight else greatest(model_weight, {_strengths(settings)}) end as weight,
            * exclude (l, r)
        from judged
        """
    )
    bench.execute(f"drop table {predicted}")
    bench.execute(
        "create or replace table weight_count as"
        " select floor(weight)::integer as bits, count(*) as pairs from weighed_pair group by 1"
    )
    bench.execute(
        f"create or replace table scored as select * from weighed_pair where rule is not null or model_weight >= {least}"
    )
    bench.execute("drop table weighed_pair")


def _choose_sample(bench: Workbench) -> None:
    """One record of each identical form; of those at most `model.records`, chosen by their ids."""
    settings = bench.settings.model
    bench.execute(
        f"""
        create or replace table sample as
        select n, id from (
            select n, id, row_number() over (partition by coalesce(identical, -n - 1) order by id) as place
            from record join name_of using (n)
        ) where place = 1
        order by hash(id || '{settings.seed}'), id limit {settings.records}
        """
    )


def _patterns(bench: Workbench, compared: Sequence[Comparison], pairs: str) -> list[tuple[Any, ...]]:
    """The level in each comparison (-1 for nothing to compare), and how many pairs of a table show this pattern."""
    return bench.execute(
        f"select {', '.join(_level_or_none(c) for c in compared)}, count(*)"
        f" from ({_compared(bench, compared, pairs)}) group by all order by all"
    ).fetchall()


def _chance(bench: Workbench, compared: Sequence[Comparison], size: int, all_pairs: float) -> list[Any]:
    """By comparison, how many of all pairs of the sample show each level: by random pairs, and by counting equal values."""
    settings = bench.settings.model
    ids = np.array([row[0] for row in bench.execute("select n from sample order by id").fetchall()], dtype=np.int64)
    if all_pairs <= settings.random_pairs:
        left, right = (ids[index] for index in np.triu_indices(size, 1))
    else:
        draw = np.random.default_rng(settings.seed)
        left, right = (
            ids[draw.integers(0, size, settings.random_pairs)],
            ids[draw.integers(0, size, settings.random_pairs)],
        )
        left, right = left[left != right], right[left != right]
    with bench.arriving(pa.table({"l": np.minimum(left, right), "r": np.maximum(left, right)})):
        bench.execute("create or replace table random_pair as select distinct l, r from arriving")
    patterns = _patterns(bench, compared, "random_pair")
    result = []
    for place, comparison in enumerate(compared):
        counts: Counter[int] = Counter()
        for pattern in patterns:
            counts[pattern[place]] += pattern[-1]
        drawn = sum(counts.values()) or 1
        pairs = np.array(
            [counts.get(n, 0) * all_pairs / drawn for n in range(len(comparison.observed))], dtype=np.float64
        )
        for level, value in comparison.counted:
            at = [each.name for each in comparison.observed].index(level)
            counted = float(
                bench.one(
                    f"""
                    select coalesce(sum(same * (same - 1) / 2), 0) from (
                        select value, count(distinct n) as same
                        from (select n, {value} as value from record semi join sample using (n))
                        where value is not null group by value)
                    """
                )
            )
            counted = max(counted - pairs[:at].sum(), 0.0)
            pairs[-1] = max(pairs[-1] - (counted - pairs[at]), 1.0)
            pairs[at] = counted
        result.append(pairs)
    bench.execute("drop table random_pair")
    return result


def _with_frequencies(bench: Workbench, model: Model) -> Model:
    frequencies: dict[str, dict[str, float]] = {}
    for comparison in model.comparisons:
        column = comparison.frequency
        if column is None:
            continue
        total = int(bench.one(f"select count({column}) from record"))
        usual = model.levels[comparison.name][0].chance
        least = max(2, math.ceil(4 * usual * total)) if comparison.outliers else 2
        rows = bench.execute(
            f"select {column}, count(*) as records from record where {column} is not null group by 1"
            f" having records >= {least} order by records desc, 1 limit {FREQUENT}"
        ).fetchall()
        shares = {str(value): records / total for value, records in rows}
        if not comparison.outliers and total:
            shares[""] = rows[-1][1] / total if len(rows) == FREQUENT else 1 / total
        frequencies[column] = shares
    return replace(model, frequencies=frequencies)


def _compared(bench: Workbench, compared: Iterable[Comparison], pairs: str) -> str:
    """SQL for the pairs of a table (or subquery), with all its columns and for each comparison `gamma_<comparison>`, the level as Splink counts.

    Splink gives levels only together with all that was compared, which is far more to store than to compute again.
    """
    compared = list(compared)
    columns = list(dict.fromkeys(column for comparison in compared for column in comparison.columns))
    sides = ", ".join(f"{side}.{column} as {column}_{side}" for side in ("l", "r") for column in columns)
    levels = ", ".join(f"{_gamma(comparison)} as gamma_{comparison.name}" for comparison in compared)
    leave_out = ", ".join(f"{column}_{side}" for side in ("l", "r") for column in columns)
    return (
        f"select * exclude ({leave_out}), {levels} from (select pairs.*, {sides} from {pairs} as pairs"
        " join record as l on l.n = pairs.l join record as r on r.n = pairs.r)"
    )


def _gamma(comparison: Comparison) -> str:
    last = len(comparison.observed) - 1
    numbers = [-1, *range(last, 0, -1)]
    cases = " ".join(
        f"when {DUCKDB.render(level.condition)} then {number}"
        for level, number in zip(comparison.levels, numbers, strict=False)
    )
    return f"(case {cases} else 0 end)::tinyint"


@lru_cache(maxsize=4)
def _read_once(declared: str) -> "SettingsCreator":
    """Splink's settings, read once: it parses the SQL of all levels whenever a linker is made, which takes longer than to weigh
    a thousand pairs."""
    from splink import SettingsCreator

    class ReadOnce(SettingsCreator):
        @cached_property
        def _read(self) -> "Settings":
            return super().get_settings("duckdb")

        def get_settings(self, sql_dialect_str: str) -> "Settings":
            return self._read

    return ReadOnce(**json.loads(declared))


def predict(bench: Workbench, model: Model, pairs: str, *, wide: bool = False, least: float | None = None) -> str:
    """Splink's predictions for a table of pairs (`l`, `r`): `n_l`, `n_r`, `match_weight` and what the rarity of each agreed
    value adds to it (`mw_tf_adj_<comparison>`); if `wide`, all that led to it.

    Returns the name of a new table. `least` leaves out what weighs less.
    """
    if not wide and not bench.one(f"select exists (from {pairs})"):
        types = ("bigint", "bigint", *("double" for _ in _weights(model)))
        columns = ", ".join(f"{name} {kind}" for name, kind in zip(narrow_columns(model), types, strict=True))
        bench.execute(f"create or replace table no_pairs ({columns})")
        return "no_pairs"
    _put_frequencies(bench, model)
    if bench.settings.engine.backend == "spark":
        from sv_assets.identity.on_spark import predict_on_spark

        return predict_on_spark(bench, model, pairs, wide=wide, least=least)
    bench.execute(
        f"create or replace view splink_pairs as select '0' as match_key, l as join_key_l, r as join_key_r from {pairs}"
    )
    from splink import DuckDBAPI, Linker  # half a second, which only runs at work on pairs need

    api = DuckDBAPI(connection=bench.connection)
    settings = _read_once(json.dumps(splink_settings(model, "duckdb", wide=wide)))
    linker = Linker(api.register("weighed"), settings, log_level=None, validate_settings=False)
    linker.table_management.register_blocked_pairs_for_predict(api.register("splink_pairs"))
    for column in frequency_columns(model):
        linker.table_management.register_term_frequency_lookup(api.register(f"share_of_{column}"), column)
    predicted = linker.inference.predict(threshold_match_weight=least, warning_mode="never").physical_name
    bench.execute("drop view splink_pairs")
    if wide:
        return predicted
    bench.execute(f"create table {predicted}_narrow as select {', '.join(narrow_columns(model))} from {predicted}")
    bench.execute(f"drop table {predicted}")
    return f"{predicted}_narrow"


def narrow_columns(model: Model) -> list[str]:
    """The columns of a prediction that is not wide."""
    return ["n_l", "n_r", *_weights(model)]


def _weights(model: Model) -> list[str]:
    return ["match_weight", *(f"mw_tf_adj_{c.name}" for c in model.comparisons if c.frequency)]


def frequency_columns(model: Model) -> list[str]:
    """The columns whose frequent values say less."""
    return [comparison.frequency for comparison in model.comparisons if comparison.frequency]


def _put_frequencies(bench: Workbench, model: Model) -> None:
    """The view `weighed`: the records with `tf_<column>`, as Splink calls the share of records that have the value.

    It is NULL where there is no value, as it is on Spark, which joins shares by value.
    """
    joins, columns = [], []
    for column in frequency_columns(model):
        shares = dict(model.frequencies.get(column, {}))
        default = shares.pop("", None)
        values, parts = pa.array(list(shares), pa.string()), pa.array(list(shares.values()), pa.float64())
        with bench.arriving(pa.table({column: values, f"tf_{column}": parts})):
            bench.execute(f"create or replace table share_of_{column} as select * from arriving")
        joins.append(f"left join share_of_{column} using ({column})")
        share = f"coalesce(tf_{column}, {default if default is not None else 'null'}::double)"
        columns.append(f"(case when {column} is not null then {share} end) as tf_{column}")
    compared = ", ".join(dict.fromkeys(column for comparison in model.comparisons for column in comparison.columns))
    bench.execute(
        f"create or replace view weighed as select n, {compared}, {', '.join(columns)} from record {' '.join(joins)}"
    )


def _level_number(comparison: Comparison) -> str:
    """Splink counts levels from the last one; we count from the first."""
    return f"{len(comparison.observed) - 1} - gamma_{comparison.name}"


def _level(comparison: Comparison) -> str:
    return f"(case when gamma_{comparison.name} < 0 then null else {_level_number(comparison)} end)::tinyint as level_{comparison.name}"


def _level_or_none(comparison: Comparison) -> str:
    return f"case when gamma_{comparison.name} < 0 then -1 else {_level_number(comparison)} end"


def _rarity(comparison: Comparison) -> str:
    return f"round(coalesce(mw_tf_adj_{comparison.name}, 0), 3) as rarity_{comparison.name}"


def _weight_against_household(model: Model) -> str | None:
    start = model.start_against_household
    if start is None:
        return None
    terms = [repr(start)]
    for comparison in model.comparisons:
        cases = " ".join(
            f"when {len(comparison.observed) - 1 - n} then {level.against_household!r}"
            for n, level in enumerate(model.levels[comparison.name])
        )
        terms.append(f"(case gamma_{comparison.name} {cases} else 0 end)")
        if comparison.frequency and not comparison.shared:
            terms.append(f"coalesce(mw_tf_adj_{comparison.name}, 0)")
    return " + ".join(terms)


def _rules(bench: Workbench, compared: Iterable[Comparison]) -> str:
    """SQL for the number of the strongest rule that holds."""
    known = {comparison.name: [level.name for level in comparison.observed] for comparison in compared}
    branches = []
    for number, rule in sorted(enumerate(bench.settings.rules), key=lambda pair: -pair[1].strength):
        alternatives = [rule.agree]
        if "id_any" in rule.agree:
            rest = {name: levels for name, levels in rule.agree.items() if name != "id_any"}
            names = [name for name in bench.identifiers if f"id_{name}" in known]
            alternatives = [{**rest, f"id_{name}": rule.agree["id_any"]} for name in names]
        for agree in alternatives:
            conditions = [
                f"level_{name} in ({', '.join(str(known[name].index(level)) for level in levels)})"
                for name, levels in agree.items()
            ]
            branches.append(f"when {' and '.join(conditions)} then {number}")
    return f"(case {' '.join(branches)} else null end)" if branches else "null::integer"


def _strengths(settings: Any) -> str:
    cases = " ".join(f"when {number} then {rule.strength}" for number, rule in enumerate(settings.rules))
    return f"(case rule {cases} else 0 end)" if cases else "0"
