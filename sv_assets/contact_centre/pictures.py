"""How calls were answered, week by week, as a small drawing. It holds counts only."""

from collections.abc import Callable, Sequence

from sv_assets.contact_centre.metrics import Figures
from sv_assets.pictures.svg import Drawing, ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640.0, 190.0, 62.0, 16.0, 44.0, 34.0
MOST_WEEKS = 104
"""Of more weeks the last ones are drawn."""


def repeat_calls(weeks: Sequence[Figures]) -> str:
    """SVG: the share of calls that repeat another, by week."""
    return _line("repeat-calls", "Calls that repeat another, by week", weeks, lambda w: w.repeat_share, in_per_cent)


def handling_time(weeks: Sequence[Figures]) -> str:
    """SVG: the mean handling time, by week."""
    return _line("handling-time", "Handling time of a call, by week", weeks, lambda w: w.handling_seconds, in_minutes)


def found_at_first_try(weeks: Sequence[Figures]) -> str:
    """SVG: the share of calls whose card was found at first try, by week."""
    return _line("found-first", "Card found at first try, by week", weeks, lambda w: w.found_share, in_per_cent)


def in_per_cent(share: float) -> str:
    return f"{100 * share:.0f} %"


def in_minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _line(
    name: str,
    title: str,
    weeks: Sequence[Figures],
    measure: Callable[[Figures], float | None],
    words: Callable[[float], str],
) -> str:
    points = [(week.first, value) for week in weeks if (value := measure(week)) is not None][-MOST_WEEKS:]
    says = (
        f"From {words(points[0][1])} to {words(points[-1][1])} in {len(points)} weeks." if points else "No figures yet."
    )
    drawing = Drawing(name, WIDTH, HEIGHT, title, says)
    drawing.text(LEFT, 24, title, bold=True, size=13)
    if not points:
        drawing.text(WIDTH / 2, HEIGHT / 2, "Nothing has been measured yet.", "muted", anchor="middle")
        return drawing.svg()
    high = max(max(value for _, value in points) * 1.1, 1e-9)
    bottom, width = HEIGHT - BOTTOM, WIDTH - LEFT - RIGHT

    def y(value: float) -> float:
        return bottom - value / high * (bottom - TOP)

    for mark in ticks(0, high, 4):
        drawing.line(LEFT, y(mark), WIDTH - RIGHT, y(mark), "grid")
        drawing.text(LEFT - 6, y(mark) + 4, words(mark), "muted", anchor="end")
    slot = width / len(points)
    for n, (monday, value) in enumerate(points):
        x = LEFT + n * slot
        drawing.box(x + slot * 0.1, y(value), slot * 0.8, bottom - y(value), "more", says=f"{monday}: {words(value)}")
    drawing.text(LEFT, HEIGHT - 12, points[0][0], "muted")
    if len(points) > 1:
        drawing.text(WIDTH - RIGHT, HEIGHT - 12, points[-1][0], "muted", anchor="end")
    return drawing.svg()
