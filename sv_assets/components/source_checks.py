"""The checks of one source in two steps: what is cheap after each landing, and an audit that reads the source."""

from collections.abc import Callable, Iterable
from functools import partial

import dagster as dg

from sv_assets.catalogue.load import load_catalogue
from sv_assets.catalogue.source import Source
from sv_assets.components.keys import landing_key, pool_of, reconciliation_key
from sv_assets.components.quarantine_shown import shown_beside
from sv_assets.components.recording import recorded
from sv_assets.components.station import explained_failures
from sv_assets.components.steps import checks_step
from sv_assets.landing.reconcile import needs_reconciliation
from sv_assets.quality.clock import now
from sv_assets.quality.keys import LANDED
from sv_assets.quality.landing import WHAT, audit, check_landing, names_after_landing, names_of_audit
from sv_assets.quality.result import Result
from sv_assets.quality.subject import Subject
from sv_assets.resources import MongoResource


def landing_checks(source: Source) -> dg.AssetChecksDefinition:
    """What runs right after each landing: it looks at MongoDB, by indexes, and never reads a table of the source."""
    specs = [
        dg.AssetCheckSpec(
            name,
            asset=landing_key(source),
            description=_what(source, name),
            blocking=name == LANDED or _blocks(source, name),
        )
        for name in names_after_landing(source)
    ]
    return _step(f"check_{source.system}_{source.slug}", source, specs, None, check_landing)


def audit_of(source: Source) -> dg.AssetChecksDefinition:
    """What reads the source, or all that has landed of it: within the pool, the pace and the times of its system."""
    after = [reconciliation_key(source)] if needs_reconciliation(source) else []
    specs = [
        dg.AssetCheckSpec(name, asset=landing_key(source), description=_what(source, name), additional_deps=after)
        for name in names_of_audit(source)
    ]
    return _step(f"audit_{source.system}_{source.slug}", source, specs, pool_of(source), audit)


def source_checks(source: Source) -> list[dg.AssetChecksDefinition]:
    """Both steps."""
    return [landing_checks(source), audit_of(source)]


def _step(
    name: str,
    source: Source,
    specs: list[dg.AssetCheckSpec],
    pool: str | None,
    evaluate: Callable[[Subject], Iterable[Result]],
) -> dg.AssetChecksDefinition:
    def checks(context: dg.AssetCheckExecutionContext) -> list[dg.AssetCheckResult]:
        mongo: MongoResource = context.resources.mongo
        wanted = {key.name for key in context.selected_asset_check_keys}
        with explained_failures(), mongo.store() as store:
            catalogue = load_catalogue()
            subject = Subject(store, catalogue, source, now(store, catalogue))
            results = [result for result in evaluate(subject) if result.check in wanted]
            beside = partial(shown_beside, store, source)
            return recorded(store, results, context.run.run_id, source.declared_in.owners, beside)

    return checks_step(name, specs, pool, checks)


def _what(source: Source, name: str) -> str:
    declared = next((check for check in source.entry.checks if check.title == name), None)
    if declared is None:
        return WHAT[name]
    return declared.description or f"Declared: {' '.join((declared.__doc__ or '').split())}"


def _blocks(source: Source, name: str) -> bool:
    return any(check.title == name and check.blocking for check in source.entry.checks)
