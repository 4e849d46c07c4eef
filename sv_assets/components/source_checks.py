"""The checks of a source: what is cheap within its landing, and the audits of a system, which read its sources."""

from collections.abc import Iterator, Sequence
from functools import partial

import dagster as dg

from sv_assets.alerts.runs import AUDIT
from sv_assets.catalogue.load import load_catalogue
from sv_assets.catalogue.source import Source
from sv_assets.components.keys import CAPTURE_CHECK, RECEIVES_CHECK, landing_key, path_of, pool_of
from sv_assets.components.quarantine_shown import shown_beside
from sv_assets.components.recording import recorded, shown
from sv_assets.components.station import ERROR_CLASS, explained_failures
from sv_assets.components.steps import checks_step, evaluated
from sv_assets.mongo import Store
from sv_assets.quality.names import LANDED, WHAT, names_after_landing, names_of_audit
from sv_assets.quality.result import Result
from sv_assets.quality.results import state_of
from sv_assets.resources import MongoResource


def landing_check_specs(source: Source) -> list[dg.AssetCheckSpec]:
    """What follows each landing in its own step: it looks at MongoDB, by indexes, and never reads a table of the source."""
    return [
        dg.AssetCheckSpec(
            name,
            asset=landing_key(source),
            description=_what(source, name),
            blocking=name == LANDED or _blocks(source, name),
        )
        for name in names_after_landing(source)
    ]


def checked_landing(source: Source, context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Those of them that are wanted. What only a landing sees, and is wanted without one, is as the last one saw it."""
    wanted = {key.name for key in context.selected_asset_check_keys}
    own = RECEIVES_CHECK if source.is_queue else CAPTURE_CHECK
    mongo: MongoResource = context.resources.mongo
    with explained_failures(), mongo.store() as store:
        if own in wanted and landing_key(source) not in context.selected_asset_keys:
            yield shown(_seen_last(store, source, own))
        if now_wanted := wanted.intersection(names_after_landing(source)):
            yield from _results(store, source, now_wanted, context.run.run_id)


def audits_of(sources: Sequence[Source]) -> dg.AssetChecksDefinition:
    """What reads the sources of a system, or all that has landed of them, within the pool, the pace and the times of the
    system: one source after the other, each apart. One that cannot be audited fails the step when all others are done."""
    by_asset = {landing_key(source): source for source in sources}
    system, pool = sources[0].system, pool_of(sources[0])

    def audits(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        wanted: dict[dg.AssetKey, set[str]] = {}
        for key in context.selected_asset_check_keys - evaluated(context):
            wanted.setdefault(key.asset_key, set()).add(key.name)
        mongo: MongoResource = context.resources.mongo
        failures: dict[str, dg.Failure] = {}
        unforeseen: list[Exception] = []
        with explained_failures(), mongo.store() as store:
            for key in sorted(wanted):
                try:
                    with explained_failures():
                        found = _results(store, by_asset[key], wanted[key], context.run.run_id, audited=True)
                except dg.Failure as failure:
                    store.client.admin.command(
                        "ping"
                    )  # where it is MongoDB that is away, no other can be audited either
                    failures[by_asset[key].key] = failure
                except Exception as error:  # whatever it is: the other sources must be audited all the same
                    unforeseen.append(error)
                else:
                    yield from found
        if unforeseen:
            raise unforeseen[0]
        if failures:
            raise _together(failures)

    described = f"Audits of {system}: whether what has landed is what its sources have, and as declared."
    name = f"{AUDIT}{system}_queues" if sources[0].is_queue else f"{AUDIT}{system}"
    return checks_step(name, described, [s for one in sources for s in _audit_specs(one)], pool, audits)


def _seen_last(store: Store, source: Source, check: str) -> Result:
    state = state_of(store, path_of(source), check)
    if state is None:
        return Result(check, path_of(source), True, "Not looked at: nothing has landed yet.", {"looked_at": 0})
    kept = {name: state.latest[name] for name in ("passed", "sentence", "figures", "severity", "next_step")}
    return Result(check, path_of(source), **kept)


def _audit_specs(source: Source) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=landing_key(source), description=_what(source, name))
        for name in names_of_audit(source)
    ]


def _results(
    store: Store, source: Source, wanted: set[str], run_id: str, *, audited: bool = False
) -> list[dg.AssetCheckResult]:
    from sv_assets.quality.clock import now
    from sv_assets.quality.landing import audit, check_landing
    from sv_assets.quality.subject import Subject

    evaluate = audit if audited else check_landing
    catalogue = load_catalogue()
    subject = Subject(store, catalogue, source, now(store, catalogue))
    results = [result for result in evaluate(subject) if result.check in wanted]
    return recorded(store, results, run_id, source.declared_in.owners, partial(shown_beside, store, source))


def _together(failures: dict[str, dg.Failure]) -> dg.Failure:
    """One failure that says of each source why it could not be audited; tried again where one of the faults may pass."""
    first = next((f for f in failures.values() if not f.allow_retries), next(iter(failures.values())))
    sentences = " ".join(f"{key}: {failure.description}" for key, failure in failures.items())
    return dg.Failure(
        description=sentences,
        metadata={ERROR_CLASS: first.metadata[ERROR_CLASS]},
        allow_retries=any(failure.allow_retries for failure in failures.values()),
    )


def _what(source: Source, name: str) -> str:
    declared = next((check for check in source.entry.checks if check.title == name), None)
    if declared is None:
        return WHAT[name]
    return declared.description or f"Declared: {' '.join((declared.__doc__ or '').split())}"


def _blocks(source: Source, name: str) -> bool:
    return any(check.title == name and check.blocking for check in source.entry.checks)
