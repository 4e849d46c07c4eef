"""Nobody is contacted without consent, nothing is held that nobody declared, and nothing is kept too long."""

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.station import explained_failures
from sv_assets.defs.privacy.assets import AUDIENCE, ERASURES, REQUESTS
from sv_assets.privacy.audience import without_consent
from sv_assets.privacy.declaration import load_declaration, undeclared
from sv_assets.privacy.erase import unfinished
from sv_assets.privacy.requests import list_requests, overdue
from sv_assets.privacy.retention import overdue as kept_too_long
from sv_assets.resources import MongoResource


@dg.asset_check(
    asset=AUDIENCE,
    blocking=True,
    description="Nobody is in the audience over a channel without a consent in force, by the consents themselves.",
)
def nobody_without_consent(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        looked, wrong = without_consent(store)
    return dg.AssetCheckResult(
        passed=wrong == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"Of {looked:,} channels in the audience, {wrong:,} have no consent in force.",
        metadata={"channels": looked, "without_consent": wrong},
    )


@dg.asset_check(asset=REQUESTS, description="Every request of a person is answered in time.")
def requests_answered_in_time(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        late, waiting = overdue(store), len(list_requests(store, only_open=True))
    return dg.AssetCheckResult(
        passed=late == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{waiting:,} requests wait, {late:,} of them longer than they may. `sv privacy requests --open` lists them.",
        metadata={"waiting": waiting, "late": late},
    )


@dg.asset_check(asset=ERASURES, description="No erasure was left half-way.")
def erasures_finished(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        left = unfinished(store)
    return dg.AssetCheckResult(
        passed=not left,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(left):,} erasures are under way or were stopped: `sv privacy erase --resume` goes on.",
        metadata={"under_way": len(left)},
    )


@dg.asset_check(asset=ERASURES, description="Every collection of the store is declared in retention.yaml.")
def everything_held_is_declared(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        unknown = undeclared(store, load_declaration())
    return dg.AssetCheckResult(
        passed=not unknown,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(unknown):,} collections are not declared: {', '.join(unknown[:10]) or 'none'}. Say in "
        "sv_assets/defs/privacy/retention.yaml what they are for.",
        metadata={"undeclared": len(unknown)},
    )


@dg.asset_check(asset=ERASURES, description="Nothing is kept longer than retention.yaml says.")
def nothing_is_kept_too_long(mongo: MongoResource) -> dg.AssetCheckResult:
    with explained_failures(), mongo.store() as store:
        late = kept_too_long(store, load_catalogue())
    return dg.AssetCheckResult(
        passed=late.total == 0,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{late.total:,} documents should have gone two days ago or earlier{': ' + ', '.join(late.removed) if late.total else ''}. "
        "The job `retention` removes them each night.",
        metadata={"late": late.total, **late.removed},
    )
