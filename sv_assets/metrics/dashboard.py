"""The Grafana dashboard, made from the declared metrics: `sv metrics dashboard > docs/dashboards/single-view.json`."""

from dataclasses import dataclass
from typing import Any

from sv_assets.metrics import names

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_ROW = 8
"""The height of a row of panels; the dashboard is 24 wide."""


@dataclass(frozen=True)
class Panel:
    """A panel: expressions with their legends."""

    title: str
    expressions: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    red_above: float | None = None


PANELS = (
    Panel("Open alerts", ((f"sum({names.ALERTS.name}) or vector(0)", "open"),), kind="stat", width=4, red_above=1),
    Panel("Steps that fail", ((names.FAILING_STEPS.name, "failing"),), kind="stat", width=4, red_above=1),
    Panel("Customers", ((f'{names.DOCUMENTS.name}{{collection="customers"}}', "customers"),), kind="stat", width=4),
    Panel("Dead letters", ((f"sum({names.DEAD_LETTERS.name}) or vector(0)", "dead letters"),), kind="stat", width=4, red_above=1),
    Panel("In quarantine", ((f"sum({names.QUARANTINE.name}) or vector(0)", "waiting"),), kind="stat", width=4, red_above=1),
    Panel("Seconds since alerts looked", ((f"time() - {names.LOOKED.name}", "age"),), "s", "stat", 4, 300),
    Panel("Rows landed a second", ((f'sum by (source) (rate({names.ROWS.name}_total{{outcome=~"inserted|updated|deleted"}}[5m]))', "{{source}}"),)),
    Panel("Stale and quarantined rows a second", ((f'sum by (source, outcome) (rate({names.ROWS.name}_total{{outcome=~"stale|quarantined"}}[5m]))', "{{source}} {{outcome}}"),)),
    Panel("Since each source was read to its end", ((names.LAG.name, "{{source}}"),), "s"),
    Panel(
        "Landed until composed",
        tuple((f"histogram_quantile({q}, sum by (le) (rate({names.LATENCY.name}_bucket[1h])))", f"p{q:.0%}") for q in (0.5, 0.95)),
        "s",
    ),
    Panel("Messages that wait", ((f'{names.QUEUE_MESSAGES.name}{{state="waiting"}}', "{{queue}}"),)),
    Panel("Age of the oldest message", ((names.QUEUE_AGE.name, "{{queue}}"),), "s"),
    Panel("Runs an hour by outcome", ((f"sum by (status) (increase({names.RUNS.name}_total[1h]))", "{{status}}"),)),
    Panel(
        "How long runs take (p95)",
        ((f"histogram_quantile(0.95, sum by (le, job) (rate({names.RUN_SECONDS.name}_bucket[1h])))", "{{job}}"),),
        "s",
    ),
    Panel("Checks that fail", ((f'sum by (station, state) ({names.CHECKS.name}{{state!="passed"}})', "{{station}} {{state}}"),)),
    Panel("Work lists", ((names.WORK.name, "{{station}}"),)),
    Panel("Documents", ((names.DOCUMENTS.name, "{{station}}.{{collection}}"),)),
    Panel("For a human to decide", ((names.REVIEW.name, "{{guard}}"),)),
    Panel("Alert messages an hour", ((f"sum by (channel, outcome) (increase({names.CHANNEL_SENT.name}_total[1h]))", "{{channel}} {{outcome}}"),), width=12),
    Panel("Scrape", ((names.SCRAPE_SECONDS.name, "seconds"),), "s", width=12),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    x = y = 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > 24:
            x, y = 0, y + _ROW
        panels.append(_panel(number, panel, x, y))
        x += panel.width
    return {
        "title": "Single customer view",
        "uid": "single-customer-view",
        "tags": ["sv"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": panels,
    }


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": _ROW},
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for n, (expression, legend) in enumerate(panel.expressions)
        ],
    }
