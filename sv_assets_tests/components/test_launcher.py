"""Runs are forked from a warm process; one that dies is noticed, and one that is ended ends."""

import os
import signal
import time
from collections.abc import Iterator

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus

from sv_assets.launcher import PROCESS_TAG, WarmRunLauncher
from sv_assets.settings import PROJECT_ROOT
from sv_assets_tests.components.conftest import TinyEstate

CUSTOMER = dg.AssetKey(["landing", "crm", "customer"])


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    ours = {"run_launcher": {"module": "sv_assets.launcher", "class": "WarmRunLauncher"}}
    with dg.instance_for_test(overrides=ours) as instance:
        yield instance


def launch(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run that lands one table, started as the daemon starts it; as it stands right after."""
    repository = ReconstructableRepository.for_module("sv_assets.definitions", "defs", str(PROJECT_ROOT))
    origin = repository.get_reconstructable_job("read_tables").get_python_origin()
    job = definitions.resolve_job_def("read_tables").get_subset(asset_selection={CUSTOMER})
    run = instance.create_run_for_job(job, asset_selection=frozenset({CUSTOMER}), job_code_origin=origin)
    assert isinstance(instance.run_launcher, WarmRunLauncher)
    instance.run_launcher.launch_run(LaunchRunContext(run, workspace=None))
    started = instance.get_run_by_id(run.run_id)
    assert started is not None
    return started


def ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = instance.get_run_by_id(run.run_id)
        if now is not None and now.is_finished:
            return now
        time.sleep(0.1)
    raise AssertionError("the run did not end")


def test_a_run_is_forked_from_a_process_that_stays_warm(
    definitions: dg.Definitions, tiny_estate: TinyEstate, instance: dg.DagsterInstance
) -> None:
    first = launch(definitions, instance)
    assert ended(instance, first).status == dg.DagsterRunStatus.SUCCESS
    landed = tiny_estate.store.landing["crm.customer"].count_documents({})
    assert landed > 0
    started = time.process_time()
    second = launch(definitions, instance)
    assert ended(instance, second).status == dg.DagsterRunStatus.SUCCESS
    assert time.process_time() - started < 30
    pids = {int(run.tags[PROCESS_TAG].partition(":")[0]) for run in (first, second)}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert tiny_estate.store.landing["crm.customer"].count_documents({}) == landed


def test_a_run_whose_process_was_killed_is_seen_to_be_dead(
    definitions: dg.Definitions, tiny_estate: TinyEstate, instance: dg.DagsterInstance
) -> None:
    run = launch(definitions, instance)
    launcher = instance.run_launcher
    process = psutil.Process(int(run.tags[PROCESS_TAG].partition(":")[0]))
    process.send_signal(signal.SIGSTOP)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    process.kill()
    psutil.wait_procs([process], timeout=10)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.FAILED
    assert not launcher.terminate(run.run_id), "there is nothing left to end"
    again = launch(definitions, instance)
    assert ended(instance, again).status == dg.DagsterRunStatus.SUCCESS, (
        "the next run begins as if nothing had happened"
    )


def test_a_warm_process_that_died_is_replaced(
    definitions: dg.Definitions, tiny_estate: TinyEstate, instance: dg.DagsterInstance
) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, WarmRunLauncher)
    run = launch(definitions, instance)
    warm = launcher._warm
    assert warm is not None
    warm.kill()
    warm.wait(10)
    again = launch(definitions, instance)
    assert launcher._warm is not None
    assert launcher._warm.pid != warm.pid
    assert {ended(instance, each).status for each in (run, again)} == {dg.DagsterRunStatus.SUCCESS}
