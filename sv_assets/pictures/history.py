"""What happened over the last runs, as small panels of bars beside each other: one panel a figure, one bar a run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sv_assets.pictures.svg import Drawing, about

COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 3, 250.0, 104.0
_EDGE, _TOP = 20.0, 62.0
_BARS = 54.0
_SLOTS = 12
"""With fewer runs than these, bars stay as wide as if there were so many."""


@dataclass(frozen=True)
class Panel:
    """A figure over the runs, the oldest first; None where a run says nothing of it. `unit` is `s` for seconds.

    `bad`: any of it is worth a look, so its bars have another colour.
    """

    name: str
    values: Sequence[float | None]
    unit: str = ""
    bad: bool = False


def history(name: str, title: str, span: str, panels: Sequence[Panel]) -> str:
    """SVG: the panels, three in a row. `span` says in words which runs they show."""
    rows = max(1, math.ceil(len(panels) / COLUMNS))
    said = "; ".join(f"{panel.name}: {_last(panel)}" for panel in panels) or "nothing yet"
    drawing = Drawing(
        name, COLUMNS * PANEL_WIDTH + 2 * _EDGE - 14, _TOP + rows * PANEL_HEIGHT + 6, title, f"{span} Latest: {said}."
    )
    drawing.text(_EDGE + 4, 28, title, size=14, bold=True, room=COLUMNS * PANEL_WIDTH - 30)
    drawing.text(_EDGE + 4, 46, span, "muted", room=COLUMNS * PANEL_WIDTH - 30)
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        _draw(drawing, panel, _EDGE + column * PANEL_WIDTH, _TOP + row * PANEL_HEIGHT)
    return drawing.svg()


def _draw(drawing: Drawing, panel: Panel, x: float, y: float) -> None:
    width = PANEL_WIDTH - 24
    known = [value for value in panel.values if value is not None and math.isfinite(value)]
    kind = "less" if panel.bad else "more"
    drawing.text(x + 4, y + 16, panel.name, "muted", room=width - 70)
    latest = "threshold" if panel.bad and known and known[-1] > 0 else "ink"
    drawing.text(x + width, y + 16, _last(panel), latest, anchor="end", size=13, bold=True)
    floor = y + 24 + _BARS
    drawing.line(x + 4, floor, x + width, floor, "grid")
    highest = max(known, default=0)
    if highest <= 0:
        return
    drawing.text(x + 4, floor + 13, f"most {_said(highest, panel.unit)}", "muted", size=9)
    slot = (width - 4) / max(len(panel.values), _SLOTS)
    start = x + width - slot * len(panel.values)
    for number, value in enumerate(panel.values):
        if value is None or not math.isfinite(value) or value <= 0:
            continue
        height = max(1.5, _BARS * value / highest)
        ago = len(panel.values) - 1 - number
        when = "latest run" if ago == 0 else f"{ago} run{'' if ago == 1 else 's'} before"
        drawing.box(
            start + number * slot + slot * 0.12, floor - height, slot * 0.76, height, kind,
            says=f"{_said(value, panel.unit)}, {when}",
        )  # fmt: skip


def _last(panel: Panel) -> str:
    value = panel.values[-1] if panel.values else None
    return "–" if value is None else _said(value, panel.unit)


def _said(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "–"
    if unit == "s":
        return seconds_said(value)
    return f"{value:,.0f}" if abs(value) < 100_000 else about(round(value))


def seconds_said(seconds: float) -> str:
    """`31 ms`, `0.4 s`, `12 s`, `5 min`, `3.2 h`, `2.5 d`."""
    if 0 < seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    for size, unit in ((3600.0, "min"), (86_400.0, "h"), (math.inf, "d")):
        if seconds < size:
            value = seconds / {"min": 60.0, "h": 3600.0, "d": 86_400.0}[unit]
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f}".removesuffix(".0") + f" {unit}"
    return "–"
