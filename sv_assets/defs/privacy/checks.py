"""Nobody is contacted without consent, nothing is held that nobody declared, and nothing is kept too long."""

from sv_assets.catalogue import load_catalogue
from sv_assets.components.recording import station_check
from sv_assets.customers.sealed import in_the_clear, unsealed
from sv_assets.defs.privacy.assets import AUDIENCE, ERASURES, REQUESTS
from sv_assets.mongo import Store
from sv_assets.privacy.audience import without_consent
from sv_assets.privacy.declaration import load_declaration, undeclared
from sv_assets.privacy.erase import unfinished
from sv_assets.privacy.requests import list_requests, overdue
from sv_assets.privacy.retention import overdue as kept_too_long
from sv_assets.quality.result import Result
from sv_assets.sealing import load_declaration as load_sealing


@station_check(
    AUDIENCE,
    "Nobody is in the audience over a channel without a consent in force, by the consents themselves.",
    blocking=True,
)
def nobody_without_consent(store: Store) -> Result:
    looked, wrong = without_consent(store)
    return Result(
        "nobody_without_consent",
        AUDIENCE.to_user_string(),
        passed=wrong == 0,
        severity="ERROR",
        sentence=f"Of {looked:,} channels in the audience, {wrong:,} have no consent in force.",
        figures={"channels": looked, "without_consent": wrong},
    )


@station_check(REQUESTS, "Every request of a person is answered in time.")
def requests_answered_in_time(store: Store) -> Result:
    late, waiting = overdue(store), len(list_requests(store, only_open=True))
    return Result(
        "requests_answered_in_time",
        REQUESTS.to_user_string(),
        passed=late == 0,
        severity="ERROR",
        sentence=f"{waiting:,} requests wait, {late:,} of them longer than they may. `sv privacy requests --open` lists them.",
        figures={"waiting": waiting, "late": late},
    )


@station_check(ERASURES, "No erasure was left half-way.")
def erasures_finished(store: Store) -> Result:
    left = unfinished(store)
    return Result(
        "erasures_finished",
        ERASURES.to_user_string(),
        passed=not left,
        severity="ERROR",
        sentence=f"{len(left):,} erasures are under way or were stopped: `sv privacy erase --resume` goes on.",
        figures={"under_way": len(left)},
    )


@station_check(ERASURES, "Every collection of the store is declared in retention.yaml.")
def everything_held_is_declared(store: Store) -> Result:
    unknown = undeclared(store, load_declaration())
    return Result(
        "everything_held_is_declared",
        ERASURES.to_user_string(),
        passed=not unknown,
        severity="ERROR",
        sentence=f"{len(unknown):,} collections are not declared: {', '.join(unknown[:10]) or 'none'}. Say in "
        "sv_assets/defs/privacy/retention.yaml what they are for.",
        figures={"undeclared": len(unknown)},
    )


@station_check(ERASURES, "Nothing is kept longer than retention.yaml says.")
def nothing_is_kept_too_long(store: Store) -> Result:
    late = kept_too_long(store, load_catalogue())
    return Result(
        "nothing_is_kept_too_long",
        ERASURES.to_user_string(),
        passed=late.total == 0,
        severity="ERROR",
        sentence=f"{late.total:,} documents should have gone two days ago or earlier{': ' + ', '.join(late.removed) if late.total else ''}. "
        "The job `retention` removes them each night.",
        figures={"late": late.total, **late.removed},
    )


@station_check(
    ERASURES, "Whatever a column feeds that is declared as sensitive is sealed, or left in the clear for a reason."
)
def sensitive_fields_are_sealed(store: Store) -> Result:
    missing = unsealed(load_catalogue(), load_sealing())
    looked, clear = in_the_clear(store)
    return Result(
        "sensitive_fields_are_sealed",
        ERASURES.to_user_string(),
        passed=not missing and clear == 0,
        severity="ERROR",
        sentence=f"{len(missing):,} sensitive columns feed fields that are not declared: {'; '.join(missing[:10]) or 'none'}. Of {looked:,} "
        f"documents looked at, {clear:,} have a declared field in the clear. See sv_assets/defs/privacy/encryption.yaml.",
        figures={"undeclared": len(missing), "looked_at": looked, "in_the_clear": clear},
    )
