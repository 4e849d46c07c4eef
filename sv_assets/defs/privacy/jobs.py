"""The jobs of privacy work. Who it is about is never in a run: a request is filed by `sv privacy`, and the job gets its id."""

from pathlib import Path

import dagster as dg

from sv_assets import settings
from sv_assets.catalogue import load_catalogue
from sv_assets.components.station import RETRIES, explained_failures
from sv_assets.privacy import requests
from sv_assets.privacy.retention import enforce
from sv_assets.resources import MongoResource


class RequestConfig(dg.Config):
    """`request`: the id of a filed request, as `sv privacy requests` lists them."""

    request: str


def bundles() -> Path:
    """Where answers to subject access requests wait to be handed over."""
    return settings.local_dir() / "privacy"


@dg.op(retry_policy=RETRIES, description="Gathers everything held on who asked, and writes the bundle.")
def answer_subject_access(context: dg.OpExecutionContext, config: RequestConfig, mongo: MongoResource) -> None:
    with explained_failures(), mongo.store() as store:
        gathered, manifest = requests.answer_access(store, load_catalogue(), config.request, bundles() / config.request)
    context.add_output_metadata(
        {
            "documents": gathered.documents,
            "redacted": gathered.redacted,
            "bundle": dg.MetadataValue.path(str(manifest.parent)),
        }
    )


@dg.op(retry_policy=RETRIES, description="Erases who asked, or goes on with it.")
def carry_out_erasure(context: dg.OpExecutionContext, config: RequestConfig, mongo: MongoResource) -> None:
    with explained_failures(), mongo.store() as store:
        erasure = requests.carry_out_erasure(store, load_catalogue(), config.request, advance=context.log.info)
    context.add_output_metadata({**erasure.counts, "still_found": sum(erasure.found.values())})
    if erasure.found:
        raise dg.Failure(
            f"The byte search still found something in {', '.join(erasure.found)}, so the erasure is not done. Take it out there (what a run "
            "left goes with the next run), and run this job again for the same request."
        )


@dg.op(retry_policy=RETRIES, description="Removes what is older than retention.yaml says.")
def remove_what_is_too_old(context: dg.OpExecutionContext, mongo: MongoResource) -> None:
    with explained_failures(), mongo.store() as store:
        report = enforce(store, load_catalogue())
    context.add_output_metadata({"removed": report.total, **report.removed})


@dg.job(description="Answers a filed request for access (`sv privacy access` without --out).")
def subject_access() -> None:
    answer_subject_access()


@dg.job(description="Carries out a filed request for erasure.")
def erase() -> None:
    carry_out_erasure()


@dg.job(description="Removes what is older than `defs/privacy/retention.yaml` says, every night.")
def retention() -> None:
    remove_what_is_too_old()


@dg.schedule(
    job=retention,
    cron_schedule="30 3 * * *",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def retention_every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Removes every night what is kept no longer."""
    return dg.RunRequest()
