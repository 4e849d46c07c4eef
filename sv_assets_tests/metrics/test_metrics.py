"""Metrics as Prometheus gets them: right, complete, monotonic, and answered where MongoDB is away."""

import datetime as dt
import json
import re
import threading
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pymongo import MongoClient

from sv_assets.alerts.backlogs import QueueLook, record_looks
from sv_assets.alerts.checks import CheckResult, fold_checks
from sv_assets.alerts.runs import FinishedRun, fold_runs
from sv_assets.catalogue.load import Catalogue, load_catalogue
from sv_assets.landing.land import land_table
from sv_assets.metrics import names
from sv_assets.metrics.exposition import Figures, figures_of, serve
from sv_assets.metrics.figures import read_figures
from sv_assets.mongo import Store, now_in_milliseconds
from sv_assets.settings import PROJECT_ROOT
from sv_assets_tests.command_line import run_sv
from sv_assets_tests.conftest import Catalogued

DASHBOARDS = PROJECT_ROOT / "docs" / "dashboards"
TABLE = "    - name: dbo.Customer\n      key: [Id]\n      capture: {mode: snapshot}\n"


@pytest.fixture
def catalogue(catalogued: Catalogued) -> Catalogue:
    import sqlite3

    catalogued.declare(TABLE)
    with sqlite3.connect(catalogued.database) as database:
        database.execute("create table Customer (Id integer primary key, Name text)")
        database.executemany("insert into Customer values (?, ?)", [(n, "Jane") for n in range(5)])
    return load_catalogue()


def values(store: Store, catalogue: Catalogue) -> dict[tuple[str, ...], float]:
    return {
        (s.metric.name, *s.labels): s.value for s in read_figures(store, catalogue, dt.datetime.now(dt.timezone.utc))
    }


def test_landings_are_counted_and_counters_only_grow(store: Store, catalogue: Catalogue) -> None:
    source = catalogue.source("shop.customer")
    seen = []
    for _ in range(2):
        land_table(store, catalogue, source, "run", full=True)
        seen.append(values(store, catalogue))
    first, second = seen
    assert first["sv_landing_rows", "shop.customer", "inserted"] == 5
    assert second["sv_landing_rows", "shop.customer", "inserted"] == 5
    assert second["sv_landing_rows", "shop.customer", "unchanged"] == 5
    assert second["sv_landing_read_rows", "shop.customer"] == 10 and second["sv_landings", "shop.customer"] == 2
    assert 0 <= second["sv_landing_lag_seconds", "shop.customer"] < 60
    assert second["sv_landing_documents", "shop.customer"] == 5
    counters = [key for key in first if next(m for m in names.METRICS if m.name == key[0]).type == "counter"]
    assert counters and all(second[key] >= first[key] for key in counters)


def test_a_landing_that_could_not_begin_is_not_counted_and_does_not_shorten_the_lag(
    store: Store, catalogue: Catalogue, catalogued: Catalogued
) -> None:
    source = catalogue.source("shop.customer")
    catalogued.database.write_bytes(b"")
    with pytest.raises(Exception, match=r"Customer"):
        land_table(store, catalogue, source, "run")
    found = values(store, catalogue)
    assert {("sv_landings", "shop.customer"), ("sv_landing_lag_seconds", "shop.customer")}.isdisjoint(found)


def test_the_endpoint_serves_what_there_is(store: Store, catalogue: Catalogue) -> None:
    now = now_in_milliseconds()
    record_looks(store, [QueueLook("web.events", at=now, waiting=7, in_flight=1, oldest_seconds=9.5, dead_letters=2)])
    fold_checks(store, [CheckResult("landing/shop/customer", "fresh", False, "warning", "It is old.", now)])
    ended = [FinishedRun(str(n), "nightly", "SUCCESS", now, now + dt.timedelta(seconds=n * 20)) for n in range(3)]
    fold_runs(store, ended)
    store.landing["shop.customer"].insert_one({"_id": 1, "_sv": {"pending": ["identity"]}})
    store.control["quarantine"].insert_one({"_id": "q", "source": "shop.customer", "status": "open"})
    server, thread = serve(figures_of(store, catalogue), 0)
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    found = {
        (s.name, *sorted(s.labels.values())): s.value for f in text_string_to_metric_families(text) for s in f.samples
    }
    assert (
        found["sv_queue_messages", "waiting", "web.events"] == 7 and found["sv_queue_dead_letters", "web.events"] == 2
    )
    assert found["sv_checks", "landing", "warning"] == 1
    assert found["sv_check_failing", "fresh", "landing/shop/customer", "warning"] == 1
    assert found["sv_runs_total", "nightly", "success"] == 3
    assert found["sv_run_duration_seconds_bucket", "30.0", "nightly"] == 2
    assert found["sv_run_duration_seconds_bucket", "+Inf", "nightly"] == 3
    assert found["sv_run_duration_seconds_sum", "nightly"] == 60
    assert found["sv_quarantine_documents", "shop.customer"] == 1
    assert found["sv_mongo_up",] == 1
    for metric in names.METRICS:
        assert metric.help.endswith((".", "last.")) and re.fullmatch(r"sv_[a-z_]+", metric.name)
    assert {f.name for f in text_string_to_metric_families(text)} <= {m.name for m in names.METRICS}
    assert "Jane" not in text


def test_scrapes_at_the_same_time_read_once(store: Store, catalogue: Catalogue) -> None:
    reads: list[int] = []

    def read() -> list[Any]:
        reads.append(1)
        return read_figures(store, catalogue, now_in_milliseconds())

    figures = Figures(read)
    threads = [threading.Thread(target=lambda: list(figures.collect())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(reads) == 1
    fresh = Figures(read, kept_seconds=0)
    list(fresh.collect())
    list(fresh.collect())
    assert len(reads) == 3


def test_where_mongodb_is_away_the_endpoint_says_so(catalogue: Catalogue) -> None:
    away = Store(MongoClient("mongodb://127.0.0.1:9/", serverSelectionTimeoutMS=200))
    assert [(f.name, f.samples[0].value) for f in figures_of(away, catalogue).collect()] == [("sv_mongo_up", 0)]
    away.close()


def test_show_prints_one_scrape(store: Store, catalogue: Catalogue) -> None:
    shown = run_sv("metrics", "show", "landing_documents", "--json")
    assert shown.returncode == 0, shown.stderr
    (figure,) = json.loads(shown.stdout)
    assert figure == {
        "name": "sv_landing_documents",
        "type": "gauge",
        "labels": {"source": "shop.customer"},
        "value": 0,
    }
    assert run_sv("metrics", "show", "no_such").returncode == 1


def exported() -> dict[str, tuple[str, ...]]:
    return {name: metric.labels for metric in names.METRICS for name in metric.exported}


def expressions() -> list[str]:
    dashboard = json.loads((DASHBOARDS / "single-view.json").read_text())
    rules = yaml.safe_load((DASHBOARDS / "rules.yaml").read_text())
    of_panels = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return [*of_panels, *(rule["expr"] for group in rules["groups"] for rule in group["rules"])]


def test_dashboard_and_rules_name_only_what_is_exported() -> None:
    known = exported()
    used = set()
    for expression in expressions():
        found = re.findall(r"\bsv_[a-z_]+", expression)
        assert found or "up{" in expression, expression
        assert set(found) <= known.keys(), expression
        used |= set(found)
        for name, selector in re.findall(r"\b(sv_[a-z_]+)\{([^}]*)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= {*known[name], "job", "instance", "le"}, expression
    assert len(used) > 15


def test_the_dashboard_is_what_its_script_makes() -> None:
    from sv_assets.metrics.dashboard import dashboard

    assert json.loads((DASHBOARDS / "single-view.json").read_text()) == dashboard()
    titles = [panel["title"] for panel in dashboard()["panels"]]
    assert len(titles) == len(set(titles))


def test_every_alert_rule_says_what_to_do() -> None:
    rules = yaml.safe_load(Path(DASHBOARDS / "rules.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert (
                rule["annotations"]["summary"] and rule["labels"]["severity"] in ("warning", "error") and "for" in rule
            )
