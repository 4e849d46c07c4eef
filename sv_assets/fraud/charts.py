"""Pictures for the metadata of the assets: bars, and a line by day. They name rules, signals and days, never an order."""

from collections.abc import Sequence
from itertools import pairwise

from sv_assets.pictures.svg import Drawing, as_markdown, plain, ticks

WIDTH = 760.0
_LEFT, _RIGHT, _TOP, _ROW = 200.0, 70.0, 64.0, 20.0
_MOST = 30
_PLOT = 180.0


def bars(name: str, title: str, rows: Sequence[tuple[str, float]], *, limit: float | None = None) -> str:
    """Markdown with a picture: a bar for each (label, value), the longest list cut at thirty. A dashed line stands at `limit`."""
    shown = list(rows)[:_MOST]
    most = max([value for _, value in shown] + ([limit] if limit else []), default=0.0) or 1.0
    height = _TOP + max(len(shown), 1) * _ROW + 24
    says = "; ".join(f"{label} {plain(value)}" for label, value in shown) or "There is nothing to show yet."
    drawing = Drawing(name, WIDTH, height, title, says)
    drawing.text(24, 34, title, size=15, bold=True)
    if not shown:
        drawing.text(24, _TOP + 14, says, "muted")
    room = WIDTH - _LEFT - _RIGHT
    for n, (label, value) in enumerate(shown):
        y = _TOP + n * _ROW
        over = limit is not None and value >= limit
        drawing.text(_LEFT - 8, y + 12, label, anchor="end", room=_LEFT - 30)
        drawing.box(
            _LEFT,
            y + 2,
            room * max(value, 0) / most,
            13,
            "threshold" if over else "more",
            says=f"{label}: {plain(value)}",
        )
        drawing.text(_LEFT + room * max(value, 0) / most + 6, y + 12, plain(round(value, 4)), "muted")
    if limit is not None and shown:
        x = _LEFT + room * limit / most
        drawing.line(x, _TOP - 4, x, height - 20, "threshold", dashed=True)
    return as_markdown(drawing.svg(), title)


def days(name: str, title: str, lines: Sequence[tuple[str, str, Sequence[tuple[str, float]]]]) -> str:
    """Markdown with a picture: for each (label, colour, [(day, value)]) a line over the days that any of them has."""
    every = sorted({day for *_, points in lines for day, _ in points})
    most = max((value for *_, points in lines for _, value in points), default=0.0) or 1.0
    says = f"{len(every)} days, from {every[0]} to {every[-1]}." if every else "There is nothing to show yet."
    drawing = Drawing(name, WIDTH, _TOP + _PLOT + 60, title, says)
    drawing.text(24, 34, title, size=15, bold=True)
    left, right = 62.0, WIDTH - 24
    for mark in ticks(0, most, 4):
        y = _TOP + _PLOT * (1 - mark / most)
        drawing.line(left, y, right, y, "grid")
        drawing.text(left - 8, y + 4, plain(mark), "muted", anchor="end")
    at = {day: left + (right - left) * (n + 0.5) / len(every) for n, day in enumerate(every)}
    for n, (label, colour, points) in enumerate(lines):
        places = [(at[day], _TOP + _PLOT * (1 - value / most), day, value) for day, value in sorted(points)]
        for (x1, y1, *_), (x2, y2, *_) in pairwise(places):
            drawing.line(x1, y1, x2, y2, colour)
        for x, y, day, value in places:
            drawing.box(x - 2.5, y - 2.5, 5, 5, colour, says=f"{label}, {day}: {plain(value)}")
        drawing.box(left + 150 * n, 44, 9, 9, colour)
        drawing.text(left + 150 * n + 14, 53, label, "muted")
    for day in every[:1] + every[-1:] if len(every) > 1 else every:
        drawing.text(at[day], _TOP + _PLOT + 18, day, "muted", anchor="middle")
    return as_markdown(drawing.svg(), title)
