"""Every metric there is, with its type, labels and help. Dashboards and alert rules may name nothing else."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """A metric family. `name` without the suffixes that its type brings (`_total`, `_bucket`, `_sum`, `_count`)."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> tuple[str, ...]:
        """The names under which Prometheus stores it."""
        if self.type == "counter":
            return (f"{self.name}_total",)
        if self.type == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


ROWS = Metric("sv_landing_rows", "counter", "Rows and messages landed, by what became of them.", ("source", "outcome"))
READ = Metric("sv_landing_read_rows", "counter", "Rows and messages read from the source.", ("source",))
LANDINGS = Metric(
    "sv_landings", "counter", "Landings of a source that read it, whether they came to its end or not.", ("source",)
)
LANDING_SECONDS = Metric("sv_landing_duration_seconds", "counter", "Seconds spent in landings.", ("source",))
LAG = Metric(
    "sv_landing_lag_seconds", "gauge", "Seconds since the source was last read to its end: what is older has landed.", ("source",)
)  # fmt: skip
BOOKMARK_AGE = Metric("sv_bookmark_age_seconds", "gauge", "Seconds since the bookmark last moved.", ("source",))
LANDED = Metric(
    "sv_landing_documents", "gauge", "Documents in the landing collection, tombstones included.", ("source",)
)
QUARANTINE = Metric(
    "sv_quarantine_documents", "gauge", "Rows, messages or customers that wait in quarantine.", ("source",)
)
QUEUE_MESSAGES = Metric("sv_queue_messages", "gauge", "Messages as the sensor saw them last.", ("queue", "state"))
QUEUE_AGE = Metric(
    "sv_queue_oldest_message_seconds", "gauge", "Age of the oldest message that waits, at least.", ("queue",)
)
DEAD_LETTERS = Metric("sv_queue_dead_letters", "gauge", "Messages that were received too often.", ("queue",))
QUEUE_SEEN = Metric("sv_queue_seen_timestamp_seconds", "gauge", "When the sensor looked at the queue last.", ("queue",))
RUNS = Metric("sv_runs", "counter", "Dagster runs that ended, by job and how.", ("job", "status"))
RUN_SECONDS = Metric("sv_run_duration_seconds", "histogram", "How long Dagster runs took.", ("job",))
RUN_ENDED = Metric("sv_run_ended_timestamp_seconds", "gauge", "When the last run of a job ended.", ("job",))
FAILING_STEPS = Metric("sv_steps_failing", "gauge", "Steps and jobs that failed last and have not succeeded since.")
CHECKS = Metric("sv_checks", "gauge", "Checks by their latest result: passed, warning, error.", ("station", "state"))
CHECK_FAILING = Metric(
    "sv_check_failing", "gauge", "1 for each check that failed last, the 200 that fail longest.", ("asset", "check", "severity")
)  # fmt: skip
DOCUMENTS = Metric("sv_station_documents", "gauge", "Documents of a station's collection.", ("station", "collection"))
WORK = Metric(
    "sv_work_list_documents", "gauge", "Documents that a station has still to work off; 10,000 a collection are counted.", ("station",)
)  # fmt: skip
LATENCY = Metric(
    "sv_landed_to_customer_seconds",
    "histogram",
    "From the end of a landing that changed something until the customers were composed of it.",
)
REVIEW = Metric("sv_identity_review_items", "gauge", "What guards stopped and a human has to decide.", ("guard",))
ALERTS = Metric("sv_alerts_open", "gauge", "Open alerts.", ("kind", "severity"))
ALERTS_MUTED = Metric("sv_alerts_muted", "gauge", "Open alerts that are muted.")
CHANNEL_UP = Metric(
    "sv_alert_channel_up", "gauge", "0 where the last message to an alert channel did not get through.", ("channel",)
)
CHANNEL_SENT = Metric("sv_alert_messages", "counter", "Messages to alert channels.", ("channel", "outcome"))
LOOKED = Metric(
    "sv_alerts_look_timestamp_seconds",
    "gauge",
    "When the sensor `alerts` looked last; runs, checks and queues are as of then.",
)
UP = Metric("sv_mongo_up", "gauge", "1 where MongoDB answers; without it nothing else is exported.")
SCRAPE_SECONDS = Metric("sv_scrape_duration_seconds", "gauge", "How long it took to gather these figures.")

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
