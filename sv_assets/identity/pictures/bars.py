"""Pictures of a whole run, for the metadata of its assets: how large clusters are, what pairs weigh, which rules link."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sv_assets.pictures.svg import Drawing, about, count, markdown_escaped, of_them, plain, ticks

WIDTH = 760.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 24.0, 112.0, 50.0
_PLOT = 220.0
_ROWS = 30
_LOG_FROM = 30
"""Where the highest bar is so many times the lowest, the lowest would not be seen without a logarithmic scale."""
_MOST_BARS = 60
_LARGE = ((11, 20), (21, 50), (51, 100), (101, 200))


@dataclass(frozen=True)
class _Heights:
    """How high a bar of a count is: in proportion, or by its logarithm, where 1 is still seen."""

    most: int
    log: bool

    def of(self, number: int) -> float:
        if number <= 0:
            return 0.0
        if self.log:
            return _PLOT * (math.log10(number) + 0.3) / (math.log10(self.most) + 0.3)
        return _PLOT * number / self.most

    def marks(self) -> list[int]:
        if self.log:
            powers = range(0, int(math.log10(self.most)) + 1)
            return [10**power for power in powers if power % (1 + len(powers) // 9) == 0]
        return [int(mark) for mark in ticks(0, self.most, 5) if mark == int(mark)]


@dataclass(frozen=True)
class _Bar:
    """`pieces`: from where to where on the x axis, and whether hatched."""

    number: int
    says: str
    pieces: tuple[tuple[float, float, bool], ...]


def cluster_sizes(counts: Mapping[int, int]) -> str:
    """SVG: how many customers (value) have so many records (key). Sizes above 10 are taken together."""
    bins = [(n, n) for n in range(1, 11)] + list(_LARGE)
    held = [sum(number for size, number in counts.items() if low <= size <= high) for low, high in bins]
    held.append(sum(number for size, number in counts.items() if size > bins[-1][1]))
    names = [str(low) if low == high else f"{low}–{high}" for low, high in bins] + [f">{bins[-1][1]}"]
    while held and held[-1] <= 0:
        held.pop()
    customers = sum(max(number, 0) for number in held)
    records = sum(size * number for size, number in counts.items() if size > 0 and number > 0)
    title = "Records per customer"
    drawing = _columns_card(
        "cluster-sizes", title, f"{of_them(customers, 'customer')} with {of_them(records, 'record')}."
    )
    if not held:
        return _empty(drawing)
    heights = _heights(held)
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(held), 9)
    bars = []
    for n, number in enumerate(held):
        x = _LEFT + n * slot
        unit = "record" if n == 0 else "records"
        bars.append(
            _Bar(
                max(number, 0),
                f"{names[n]} {unit}: {of_them(max(number, 0), 'customer')}",
                ((x + 4, x + slot - 4, False),),
            )
        )
        drawing.text(x + slot / 2, _TOP + _PLOT + 16, names[n], anchor="middle")
    _columns(drawing, heights, bars)
    _figures(drawing, heights, bars)
    _axis_names(drawing, heights, "customers", "records of the customer")
    return drawing.svg()


def match_weights(histogram: Sequence[tuple[int, int]], threshold: float) -> str:
    """SVG: how many pairs (second) weigh so many bits, rounded down (first). What is below the threshold is hatched.

    The bar that the threshold falls into is hatched up to it. Over a wide range several bits are one bar.
    """
    pairs: dict[int, int] = defaultdict(int)
    for bits, number in histogram:
        if number > 0:
            pairs[bits] += number
    total = sum(pairs.values())
    says = f"{of_them(total, 'pair')}; the threshold is {plain(threshold)} bits."
    drawing = _columns_card("match-weights", "Weight of the compared pairs", says)
    if not pairs:
        return _empty(drawing)
    low, high = min(pairs), max(pairs) + 1
    if shown := math.isfinite(threshold):
        low, high = min(low, math.floor(threshold)), max(high, math.ceil(threshold))
    step = _bits_a_bar(high - low)
    low, high = low // step * step, -(-high // step) * step
    if high - low < 8 * step:
        low, high = low - 4 * step, high + 4 * step
    held: dict[int, int] = defaultdict(int)
    for bits, number in pairs.items():
        held[bits // step * step] += number
    heights = _heights(held.values())

    def at(bits: float) -> float:
        return _LEFT + (bits - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    bars = []
    for start, number in sorted(held.items()):
        end = start + step
        middle = min(max(threshold, start), end) if shown else start
        gap = min(1.0, (at(end) - at(start)) / 12)
        pieces = [(at(start) + gap, at(middle), True), (at(middle), at(end) - gap, False)]
        whole = [(a, b, hatched) for a, b, hatched in pieces if b - a > 0.01]
        says = f"{plain(start)} to {plain(end)} bits: {of_them(number, 'pair')}"
        bars.append(_Bar(number, says, tuple(whole)))
    for mark in ticks(low, high, 14):
        if mark == int(mark):
            drawing.line(at(mark), _TOP + _PLOT, at(mark), _TOP + _PLOT + 4, "muted")
            drawing.text(at(mark), _TOP + _PLOT + 16, plain(mark), anchor="middle")
    _columns(drawing, heights, bars)
    if shown:
        x = at(threshold)
        drawing.line(x, _TOP - 52, x, _TOP + _PLOT, "threshold", dashed=True)
        right = x < WIDTH * 0.7
        name = f"threshold {plain(threshold)}"
        drawing.text(
            x + (5 if right else -5), _TOP - 43, name, "threshold", anchor="start" if right else "end", bold=True
        )
    _figures(drawing, heights, bars)
    _axis_names(drawing, heights, "pairs", "weight in bits")
    drawing.box(WIDTH - 230, 21, 12, 10, "more")
    drawing.text(WIDTH - 213, 30, "from the threshold on", "muted")
    drawing.box(WIDTH - 84, 21, 12, 10, "below", hatched=True)
    drawing.text(WIDTH - 67, 30, "below", "muted")
    return drawing.svg()


def rule_contributions(counts: Mapping[str, int]) -> str:
    """SVG: how many links each rule made; `model` is a rule too. The most come first; beyond 30 the rest is one bar."""
    rows = sorted(((name, max(number, 0)) for name, number in counts.items()), key=lambda row: (-row[1], row[0]))
    rest = rows[_ROWS:]
    rows = rows[:_ROWS]
    if rest:
        rows.append((f"{len(rest)} more", sum(number for _, number in rest)))
    total = sum(number for _, number in rows)
    height, names, figures = 26.0, 220.0, 110.0
    drawing = Drawing(
        "rule-contributions",
        WIDTH,
        84 + height * max(len(rows), 1),
        "Links by rule",
        f"{of_them(total, 'link')}. " + "; ".join(f"{name}: {number:,}" for name, number in rows),
    )
    drawing.text(24, 32, "Links by rule", size=15, bold=True)
    drawing.text(24, 50, of_them(total, "link"), "muted")
    if not rows:
        return _empty(drawing)
    room = WIDTH - 24 - names - figures
    most = max(number for _, number in rows) or 1
    for n, (name, number) in enumerate(rows):
        y = 66 + n * height
        width = max(room * number / most, 1.5) if number else 0.0
        drawing.text(24 + names - 10, y + 14, _spoken(name), anchor="end", size=12, room=names - 10)
        drawing.box(24 + names, y + 2, width, height - 8, "more", says=f"{_spoken(name)}: {of_them(number, 'link')}")
        drawing.text(24 + names + width + 6, y + 14, count(number, figures - 10, 12), size=12)
    drawing.line(24 + names, 62, 24 + names, 64 + len(rows) * height, "muted")
    return drawing.svg()


def capped_blocks(rows: Iterable[tuple[str, int, int]]) -> str:
    """Markdown: by rule, the blocks that were left out because more than `at_most` different records were in them.

    `rows`: the blocking rule of each such block, the records in it, and the rule's `at_most`.
    """
    blocks: dict[tuple[str, int], list[int]] = defaultdict(list)
    for rule, records, at_most in rows:
        blocks[rule, at_most].append(records)
    if not blocks:
        return "No block was left out."
    lines = [
        "| blocking rule | blocks left out | records in them | in the largest | compared up to |",
        "|:--|--:|--:|--:|--:|",
    ]
    largest_first = sorted(blocks.items(), key=lambda item: (-max(item[1]), item[0]))
    for (rule, at_most), sizes in largest_first[:_ROWS]:
        figures = " | ".join(f"{number:,}" for number in (len(sizes), sum(sizes), max(sizes), at_most))
        lines.append(f"| {markdown_escaped(rule)} | {figures} |")
    if len(largest_first) > _ROWS:
        rest = [size for _, sizes in largest_first[_ROWS:] for size in sizes]
        lines.append(f"| {len(largest_first) - _ROWS} more rules | {len(rest):,} | {sum(rest):,} | {max(rest):,} | |")
    return "\n".join(lines)


def _columns_card(name: str, title: str, description: str) -> Drawing:
    drawing = Drawing(name, WIDTH, _TOP + _PLOT + _BOTTOM, title, description)
    drawing.text(24, 32, title, size=15, bold=True)
    drawing.text(24, 50, description, "muted")
    return drawing


def _empty(drawing: Drawing) -> str:
    drawing.height = 120
    drawing.text(WIDTH / 2, 82, "Nothing to show yet.", "muted", anchor="middle", size=13)
    return drawing.svg()


def _heights(numbers: Iterable[int]) -> _Heights:
    seen = [number for number in numbers if number > 0]
    return _Heights(max(seen), max(seen) > _LOG_FROM * min(seen))


def _columns(drawing: Drawing, heights: _Heights, bars: Sequence[_Bar]) -> None:
    floor = _TOP + _PLOT
    marks = heights.marks()
    name_of = about if marks[-1] >= 100_000 else count
    for mark in marks:
        y = floor - heights.of(mark)
        drawing.line(_LEFT, y, WIDTH - _RIGHT, y, "grid")
        drawing.text(_LEFT - 8, y + 4, name_of(mark), "muted", anchor="end")
    for bar in bars:
        height = heights.of(bar.number)
        for left, right, hatched in bar.pieces if bar.number else ():
            kind = "below" if hatched else "more"
            drawing.box(left, floor - height, right - left, height, kind, says=bar.says, hatched=hatched)
    drawing.line(_LEFT, floor, WIDTH - _RIGHT, floor, "muted")


def _figures(drawing: Drawing, heights: _Heights, bars: Sequence[_Bar]) -> None:
    """The figure at each bar: level where it fits, else upright."""
    for bar in bars:
        left, right = bar.pieces[0][0], bar.pieces[-1][1]
        x, y = (left + right) / 2, _TOP + _PLOT - heights.of(bar.number) - 4
        if right - left >= 27:
            drawing.text(x, y, count(bar.number, right - left + 6), anchor="middle", halo=True)
        else:
            drawing.text(x + 3.2, y, count(bar.number, 30, 9), size=9, upright=True, halo=True)


def _axis_names(drawing: Drawing, heights: _Heights, y: str, x: str) -> None:
    drawing.text(24, _TOP - 40, y, "muted")
    if heights.log:
        drawing.text(24, _TOP + _PLOT + 36, "logarithmic scale", "muted")
    drawing.text((_LEFT + WIDTH - _RIGHT) / 2, _TOP + _PLOT + 36, x, "muted", anchor="middle")


def _bits_a_bar(span: int) -> int:
    step = 1
    while True:
        for factor in (1, 2, 5):
            if span <= step * factor * (_MOST_BARS - 2):
                return step * factor
        step *= 10


def _spoken(rule: str) -> str:
    return rule.replace("_", " ")
