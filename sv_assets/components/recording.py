"""What a check found, kept in MongoDB and shown in Dagster: every check of ours goes this way."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dagster as dg

from sv_assets.components.following import checked_when_updated
from sv_assets.components.keys import STATIONS
from sv_assets.components.station import explained_failures
from sv_assets.mongo import Store
from sv_assets.quality.result import Result
from sv_assets.quality.results import record
from sv_assets.resources import MongoResource

STATION_OWNERS = ["team:customer-view"]
Found = Result | tuple[Result, dict[str, Any]]
"""A result, and what the UI shows beside its figures."""


def recorded(
    store: Store,
    results: Iterable[Result],
    run_id: str,
    owners: Sequence[str] = (),
    beside: Callable[[Result], dict[str, Any]] = lambda _: {},
) -> list[dg.AssetCheckResult]:
    """Keep these results, then say them to Dagster, with what is to be shown `beside` the figures of each."""
    results = list(results)
    record(store, results, run_id, owners)
    return [shown(result, beside(result)) for result in results]


def shown(result: Result, beside: dict[str, Any] | None = None) -> dg.AssetCheckResult:
    """A result as Dagster shows it."""
    figures = {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in result.figures.items()
        if value is not None
    }
    return dg.AssetCheckResult(
        check_name=result.check,
        asset_key=dg.AssetKey(result.asset.split("/")),
        passed=result.passed,
        severity=dg.AssetCheckSeverity[result.severity],
        description=result.description,
        metadata={**figures, **(beside or {})},
    )


def station_check(
    asset: dg.AssetKey, description: str, *, name: str | None = None, blocking: bool = False
) -> Callable[[Callable[[Store], Found]], dg.AssetChecksDefinition]:
    """Makes a check of an asset out of a function of the store, under the function's name if no other is given. One of a
    station that blocks nothing is evaluated apart from the station."""

    def made(evaluate: Callable[[Store], Found]) -> dg.AssetChecksDefinition:
        follows = checked_when_updated() if asset in STATIONS and not blocking else None

        @dg.asset_check(
            asset=asset,
            name=name or evaluate.__name__,
            description=description,
            blocking=blocking,
            automation_condition=follows,
        )
        def check(context: dg.AssetCheckExecutionContext, mongo: MongoResource) -> dg.AssetCheckResult:
            with explained_failures(), mongo.store() as store:
                found = evaluate(store)
                result, beside = found if isinstance(found, tuple) else (found, {})
                record(store, [result], context.run.run_id, STATION_OWNERS)
            return shown(result, beside)

        return check

    return made
