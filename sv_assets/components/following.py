"""Declarative automation of the stations: each follows what is before it, in as few runs as there can be."""

import dagster as dg

from sv_assets.components.keys import STATIONS


def checked_when_updated() -> dg.AutomationCondition[dg.AssetCheckKey]:
    """For a check that blocks nothing: requested by itself once its asset was updated without it, and not with its asset.

    The checks of the stations take as long as the stations; a change need not wait for them.
    """
    updated = dg.AutomationCondition.any_deps_updated()
    # An update between a request and the tick after it came too late for that run, perhaps: it stays remembered.
    waiting = updated.since(dg.AutomationCondition.newly_requested() & ~updated)
    return (waiting & ~dg.AutomationCondition.in_progress()).with_label("checked when updated")


def follows_its_sources(*at_work_together: dg.AssetKey) -> dg.AutomationCondition:  # type: ignore[type-arg]
    """Requested when anything that the station reads has been updated by another run, and no station is at work.

    `at_work_together` are the assets that run one after the other; by default the stations.

    What is updated while stations are at work is remembered, and requested together when they are done. That one of the
    sources failed, is missing or late holds nothing up for the others: a station works off what has landed. A source whose
    blocking check fails requests nothing until it passes.
    """
    lands = dg.AutomationCondition.newly_updated() & ~dg.AutomationCondition.executed_with_root_target()
    sound = ~dg.AutomationCondition.any_checks_match(dg.AutomationCondition.check_failed(), blocking_only=True)
    updated = dg.AutomationCondition.any_deps_match(
        (lands & sound) | dg.AutomationCondition.will_be_requested()
    ).with_label("something it reads was updated")
    # An update between a request and the tick after it came too late for that run, perhaps: it stays remembered.
    taken = dg.AutomationCondition.newly_requested() & ~updated
    waiting = updated.since(taken).with_label("not yet worked off")
    first, *others = at_work_together or STATIONS
    at_work = dg.AutomationCondition.asset_matches(first, dg.AutomationCondition.in_progress())
    for key in others:
        at_work = at_work | dg.AutomationCondition.asset_matches(key, dg.AutomationCondition.in_progress())
    return (waiting & ~at_work.with_label("a station is at work")).with_label("follows its sources")
