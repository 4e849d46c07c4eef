"""The checks of a source run within its landing, and the audits of a system each apart in one step."""

import dagster as dg
import pytest

from sv_assets.catalogue import Source
from sv_assets.components import steps
from sv_assets.components.keys import CAPTURE_CHECK, landing_key
from sv_assets.components.landing_assets import landing_asset
from sv_assets.components.source_checks import audits_of
from sv_assets.errors import TransientError
from sv_assets.mongo import Store
from sv_assets.quality import landing
from sv_assets.quality.names import names_after_landing, names_of_audit
from sv_assets.quality.result import Result
from sv_assets.quality.subject import Subject
from sv_assets.resources import MongoResource
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.estate import CAPTURES, ITEM, item
from sv_assets_tests.sources.shop import Shop

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def shop(catalogued: Catalogued) -> Shop:
    return Shop(catalogued)


def two_tables(shop: Shop, checks: str = "") -> list[Source]:
    shop.table("Item", ITEM, [item(1)])
    shop.table("Other", ITEM, [item(1), item(2)])
    entry = "    - {{name: dbo.{0}, key: [Id], capture: {1}, checks: [{2}]}}\n"
    capture = CAPTURES["rowversion"]
    shop.catalogued.declare(entry.format("Item", capture, checks) + entry.format("Other", capture, ""))
    return list(shop.catalogue.sources)


def ran(sources: list[Source], instance: dg.DagsterInstance, selection: dg.AssetSelection) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*(landing_asset(source) for source in sources), audits_of(sources)],
        selection=selection,
        resources={"mongo": MongoResource()},
        instance=instance,
        run_config=QUIET,
        raise_on_error=False,
    )


def evaluated(result: dg.ExecuteInProcessResult, source: Source) -> set[str]:
    return {e.check_name for e in result.get_asset_check_evaluations() if e.asset_key == landing_key(source)}


def test_a_table_that_cannot_be_audited_keeps_no_other_of_its_system_from_it(store: Store, shop: Shop) -> None:
    sources = two_tables(shop, "{check: sql, name: sold, query: SELECT Id FROM Nowhere}")
    first, other = sources
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(sources, instance, dg.AssetSelection.all())
    assert not result.success
    assert evaluated(result, first) == {CAPTURE_CHECK, *names_after_landing(first)}
    assert evaluated(result, other) == {CAPTURE_CHECK, *names_after_landing(other), *names_of_audit(other)}
    failure = result.failure_data_for_node("audit_shop")
    assert failure is not None and failure.user_failure_data is not None
    assert (failure.user_failure_data.description or "").startswith("shop.item: ")


def test_a_landing_that_fails_keeps_no_audit_from_being_made(store: Store, shop: Shop) -> None:
    sources = two_tables(shop)
    shop.run("DROP TABLE Item")
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(sources, instance, dg.AssetSelection.all())
    assert not result.success
    assert evaluated(result, sources[1]) >= {CAPTURE_CHECK, *names_of_audit(sources[1])}


def test_audits_come_after_all_landings_of_the_run(store: Store, shop: Shop) -> None:
    sources = two_tables(shop)
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(sources, instance, dg.AssetSelection.all())
    started = [event.step_key for event in result.all_events if event.is_step_start]
    assert started == ["landing__shop__item", "landing__shop__other", "audit_shop"]


def test_checks_are_made_without_landing_where_they_alone_are_wanted(store: Store, shop: Shop) -> None:
    sources = two_tables(shop)
    first, other = sources
    with dg.DagsterInstance.ephemeral() as instance:
        ran(sources, instance, dg.AssetSelection.all())
        shop.insert("Item", [item(5)])
        wanted = dg.AssetCheckKey(landing_key(first), names_after_landing(first)[0])
        audit = dg.AssetCheckKey(landing_key(first), names_of_audit(first)[0])
        seen = dg.AssetCheckKey(landing_key(first), CAPTURE_CHECK)
        result = ran(sources, instance, dg.AssetSelection.checks(wanted, audit, seen))
    assert result.success
    assert evaluated(result, first) == {wanted.name, audit.name, CAPTURE_CHECK}
    as_before = next(e for e in result.get_asset_check_evaluations() if e.check_name == CAPTURE_CHECK)
    assert (as_before.description or "").startswith("Captured by rowversion: 1 rows read")
    assert evaluated(result, other) == set()
    assert not result.get_asset_materialization_events()
    assert store.landing[first.key].count_documents({}) == 1


def test_checks_that_have_nothing_to_look_at_are_not_there(shop: Shop) -> None:
    plain, _ = two_tables(shop)
    assert not {"arrives_in_time", "volume_as_usual", "distribution_steady", "references_resolve"} & {
        *names_after_landing(plain),
        *names_of_audit(plain),
    }


def test_what_fails_after_a_landing_is_tried_again_without_landing_again(
    store: Store, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault between the landing and its checks, which cannot be timed from outside."""
    monkeypatch.setattr(steps, "RETRIES", dg.RetryPolicy(max_retries=3))
    check, attempts = landing.check_landing, []

    def away_at_first(subject: Subject) -> list[Result]:
        attempts.append(subject.asset)
        if len(attempts) == 1:
            raise TransientError("MongoDB is away.")
        return check(subject)

    monkeypatch.setattr(landing, "check_landing", away_at_first)
    sources = two_tables(shop)
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(sources, instance, dg.AssetSelection.all())
    assert result.success
    assert sorted(attempts) == ["landing/shop/item", "landing/shop/item", "landing/shop/other"]
    assert {d["_id"]: d["landings"] for d in store.control["landing_figures"].find({})} == {
        "shop.item": 1,
        "shop.other": 1,
    }
    assert evaluated(result, sources[0]) >= {CAPTURE_CHECK, *names_after_landing(sources[0])}


def test_a_blocking_check_that_fails_is_no_fault_that_passes(store: Store, shop: Shop) -> None:
    check = "{check: mongo, name: no_price, severity: error, blocking: true, violating: {Price: {$gt: 0}}}"
    sources = two_tables(shop, check)
    with dg.DagsterInstance.ephemeral() as instance:
        result = ran(sources, instance, dg.AssetSelection.all())
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert "no_price" in evaluated(result, sources[0])
    assert evaluated(result, sources[1]) >= set(names_of_audit(sources[1]))
