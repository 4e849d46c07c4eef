"""The page of `sv identity explain A B --html`: one pair and its evidence, in one file that needs no other.

It may hold personal data, so it loads nothing, runs nothing, and tells no other site where it was opened from.
"""

import math
from collections.abc import Iterable

from sv_assets.identity.comparisons import NULL
from sv_assets.identity.pictures.explanation import Explanation, Record, Step, Weighing
from sv_assets.identity.pictures.words import comparison_in_words, level_in_words
from sv_assets.pictures.svg import DARK, Drawing, escaped, in_bits, plain, ticks

WIDTH = 780.0
_NAMES, _FIGURES = 270.0, 130.0
_PLOT = WIDTH - 24 - _NAMES - _FIGURES
_ROW, _TOP = 34.0, 74.0
_NO_WEIGHT = 1e6
"""What is beyond, an endless strength say, is drawn to the edge and does not stretch the scale."""
_NEVER = "default-src 'none'; style-src 'unsafe-inline'"
_DARK = " ".join(f".f-{kind} {{ fill: {colour} }} .s-{kind} {{ stroke: {colour} }}" for kind, colour in DARK.items())
_STYLE = f"""
:root {{ color-scheme: light dark; --page: #f4f6f8; --card: #ffffff; --edge: #d5dae1; --ink: #1f2933; --muted: #5b6672;
  --more: #2a5db0; --less: #b4540a }}
body {{ margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, "Noto Sans", sans-serif }}
main {{ max-width: 880px; margin: 0 auto; padding: 24px 16px 48px }}
h1 {{ font-size: 22px; margin: 0 0 4px }} h2 {{ font-size: 16px; margin: 32px 0 8px }}
.verdict {{ font-size: 17px; border-left: 4px solid var(--more); padding: 8px 14px; background: var(--card) }}
.records {{ display: grid; grid-template-columns: 1fr 1fr; gap: 12px }}
.record, table {{ background: var(--card); border: 1px solid var(--edge); border-radius: 8px }}
.record {{ padding: 10px 14px; overflow-wrap: anywhere }} .muted, dt, th {{ color: var(--muted) }}
.wide {{ overflow-x: auto }} table {{ border-collapse: separate; border-spacing: 0; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: 6px 10px }} td {{ overflow-wrap: anywhere; min-width: 70px }}
tbody td, tbody th {{ border-top: 1px solid var(--edge); font-weight: normal }} tbody th {{ color: var(--ink); overflow-wrap: break-word; max-width: 150px }}
td.bits, th.bits {{ text-align: right; min-width: 0; font-variant-numeric: tabular-nums }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 16px 0 }} dd {{ margin: 0; overflow-wrap: anywhere }}
svg {{ display: block; width: 100%; height: auto; margin: 12px 0 }} ul {{ padding-left: 20px }}
@media screen and (prefers-color-scheme: dark) {{
  :root {{ --page: #12171d; --card: #1d242e; --edge: #3a4552; --ink: #e8ecf1; --muted: #a9b4c0; --more: #7fb0ff; --less: #f0a35e }}
  {_DARK} }}
@media print {{ body {{ background: #ffffff }} main {{ max-width: none; padding: 0 }}
  * {{ print-color-adjust: exact; -webkit-print-color-adjust: exact }} svg, .record, tr, .verdict {{ break-inside: avoid }} h2 {{ break-after: avoid }} }}
"""


def waterfall(explanation: Explanation) -> str:
    """HTML: who is compared, the verdict, and how each comparison adds to the weight of the pair."""
    household = explanation.household
    pictures = [_weighing("strangers", "Against two strangers", explanation.strangers, 0.0, explanation)]
    if household is not None:
        pictures.append(
            _weighing("household", "Against two people of one household", household, explanation.caution, explanation)
        )
        pictures.append(_together(explanation, household))
    parts = [
        "<h1>Are these two records one person?</h1>",
        f'<p class="verdict">{escaped(explanation.verdict)}</p>',
        f'<div class="records">{_record("A", explanation.left)}{_record("B", explanation.right)}</div>',
        _facts(explanation),
        "<h2>What is compared</h2>",
        _comparisons(explanation),
        "<h2>How it is weighed</h2>",
        '<p class="muted">In bits: each one more doubles the odds that the two records are one person, each one less halves them.</p>',
        *pictures,
        _combined(explanation),
    ]
    if explanation.notes:
        parts += ["<h2>Notes</h2>", f"<ul>{''.join(f'<li>{escaped(note)}</li>' for note in explanation.notes)}</ul>"]
    title = escaped(f"{_whole_key(explanation.left)} and {_whole_key(explanation.right)}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        f'<meta http-equiv="Content-Security-Policy" content="{_NEVER}"/><meta name="referrer" content="no-referrer"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _whole_key(record: Record) -> str:
    return f"{record.system}.{record.table}:{record.key}"


def _record(letter: str, record: Record) -> str:
    return (
        f'<div class="record"><strong>{letter}</strong> <bdi>{escaped(record.key)}</bdi><br/>'
        f'<span class="muted">system <bdi>{escaped(record.system)}</bdi>, table <bdi>{escaped(record.table)}</bdi></span></div>'
    )


def _facts(explanation: Explanation) -> str:
    def listed(names: Iterable[str]) -> str:
        return ", ".join(comparison_in_words(name) for name in names) or "none"

    facts = [
        ("Weight", "none" if explanation.weight is None else f"{in_bits(explanation.weight)} bits"),
        ("Threshold", f"{plain(explanation.threshold)} bits"),
        ("Rules that hold", listed(explanation.rules)),
        ("Conflicts", listed(explanation.conflicts)),
        ("Decided by a human", explanation.decision or "no"),
        ("Model", explanation.model or "none"),
    ]
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{escaped(value)}</dd>' for name, value in facts)}</dl>"


def _comparisons(explanation: Explanation) -> str:
    """The table of all comparisons. Values have columns only if there are any."""
    steps = explanation.strangers.steps
    at_home = {step.comparison: step for step in explanation.household.steps} if explanation.household else {}
    values = any(step.left is not None or step.right is not None for step in steps)
    head = ["<th>Comparison</th>", "<th>A</th><th>B</th>" if values else "", "<th>Agreement</th>"]
    head.append(f'<th class="bits">{"bits against strangers" if at_home else "bits"}</th>')
    head.append('<th class="bits">bits against household</th>' if at_home else "")
    rows = []
    for step in steps:
        sides = "".join(f"<td><bdi>{escaped('–' if v is None else v)}</bdi></td>" for v in (step.left, step.right))
        home = at_home.get(step.comparison)
        rows.append(
            f'<tr><th scope="row">{escaped(comparison_in_words(step.comparison))}</th>{sides if values else ""}'
            f"<td>{escaped(level_in_words(step.comparison, step.level))}</td>{_bits(step)}"
            f"{_bits(home) if at_home else ''}</tr>"
        )
    return (
        f'<div class="wide"><table><thead><tr>{"".join(head)}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _bits(step: Step | None) -> str:
    nothing = step is None or step.level == NULL
    return f'<td class="bits">{"" if step is None or nothing else in_bits(step.weight, signed=True)}</td>'


def _weighing(name: str, title: str, weighing: Weighing, caution: float, explanation: Explanation) -> str:
    """The waterfall: each bar goes from the weight so far to the weight with this comparison."""
    shown = [
        (step, before, after)
        for step, before, after in zip(weighing.steps, weighing.sums[:-1], weighing.sums[1:], strict=True)
        if step.level != NULL
    ]
    says = f"From {in_bits(weighing.start)} bits to {in_bits(weighing.total)} bits. " + "; ".join(
        f"{comparison_in_words(step.comparison)}: {level_in_words(step.comparison, step.level)},"
        f" {in_bits(step.weight, signed=True)}"
        for step, _, _ in shown
    )
    drawing = Drawing(
        name, WIDTH, _TOP + _ROW * (len(shown) + 2) + 34, f"{title}: {in_bits(weighing.total)} bits", says
    )
    drawing.text(24, 30, title, size=15, bold=True)
    scale = _Scale(_extent(explanation))
    floor = _TOP + _ROW * (len(shown) + 2)
    _grid(drawing, scale, floor)
    drawing.text(WIDTH - 86, _TOP - 12, "bits", "muted", anchor="end")
    drawing.text(WIDTH - 24, _TOP - 12, "so far", "muted", anchor="end")
    _row(drawing, 0, "start", "before anything is compared")
    _bar(drawing, scale, 0, 0.0, weighing.start, f"start: {in_bits(weighing.start)} bits", "below", hatched=False)
    drawing.text(WIDTH - 24, _TOP + 21, in_bits(weighing.start), anchor="end", size=12)
    for n, (step, before, after) in enumerate(shown, 1):
        y = _TOP + n * _ROW
        label = comparison_in_words(step.comparison)
        _row(drawing, n, label, level_in_words(step.comparison, step.level) + _rarity(step))
        drawing.line(scale.at(before), y - 7, scale.at(before), y + 7, "muted")
        text = f"{label}: {in_bits(step.weight, signed=True)} bits"
        _bar(drawing, scale, n, before, after, text, "less" if step.weight < 0 else "more", hatched=step.weight < 0)
        drawing.text(WIDTH - 86, y + 21, in_bits(step.weight, signed=True), anchor="end", size=12)
        drawing.text(WIDTH - 24, y + 21, in_bits(after), "muted", anchor="end", size=12)
    y = _TOP + _ROW * (len(shown) + 1)
    _row(drawing, len(shown) + 1, "weight", "", bold=True)
    drawing.line(scale.at(weighing.total), y - 7, scale.at(weighing.total), y + 7, "muted")
    _bar(
        drawing,
        scale,
        len(shown) + 1,
        0.0,
        weighing.total,
        f"weight: {in_bits(weighing.total)} bits",
        "ink",
        hatched=False,
    )
    drawing.text(WIDTH - 24, y + 21, in_bits(weighing.total), anchor="end", size=13, bold=True)
    least = f"threshold {plain(explanation.threshold)}" + (f" + caution {plain(caution)}" if caution else "")
    _threshold(drawing, scale, explanation.threshold + caution, least, floor)
    return drawing.svg()


def _together(explanation: Explanation, household: Weighing) -> str:
    rows = [("against two strangers", "", explanation.strangers.total, "below")]
    less = f"{in_bits(household.total)} less the caution of {in_bits(explanation.caution)}"
    rows.append(("against two of one household", less, household.total - explanation.caution, "below"))
    rows.append(("both doubts together", "", explanation.weight_by_model, "ink"))
    if _raised(explanation) and explanation.weight is not None:
        rows.append(("by a rule that holds", "", explanation.weight, "ink"))
    says = "; ".join(f"{name}: {in_bits(bits)} bits" for name, _, bits, _ in rows)
    drawing = Drawing("together", WIDTH, _TOP + _ROW * len(rows) + 34, "Both weights together", says)
    drawing.text(24, 30, "Both weights together", size=15, bold=True)
    scale = _Scale(_extent(explanation))
    floor = _TOP + _ROW * len(rows)
    _grid(drawing, scale, floor)
    drawing.text(WIDTH - 24, _TOP - 12, "bits", "muted", anchor="end")
    for n, (name, more, bits, kind) in enumerate(rows):
        last = n == len(rows) - 1
        _row(drawing, n, name, more, bold=last)
        _bar(drawing, scale, n, 0.0, bits, f"{name}: {in_bits(bits)} bits", kind, hatched=kind == "below")
        drawing.text(WIDTH - 24, _TOP + n * _ROW + 21, in_bits(bits), anchor="end", size=12, bold=last)
    _threshold(drawing, scale, explanation.threshold, f"threshold {plain(explanation.threshold)}", floor)
    return drawing.svg()


def _combined(explanation: Explanation) -> str:
    sentences = []
    if explanation.household is not None:
        sentences.append(
            f"The two records may be of two strangers or of two people of one household; both doubts count, the second"
            f" {in_bits(explanation.caution)} bits heavier. Together they leave {in_bits(explanation.weight_by_model)} bits,"
            " which is never more than the smaller of the two."
        )
    if _raised(explanation) and explanation.weight is not None:
        sentences.append(f"A rule that holds raises the weight to {in_bits(explanation.weight)} bits.")
    return f"<p>{escaped(' '.join(sentences))}</p>" if sentences else ""


def _raised(explanation: Explanation) -> bool:
    weight = explanation.weight
    return weight is not None and bool(explanation.rules) and weight > explanation.weight_by_model + 0.05


def _rarity(step: Step) -> str:
    if abs(step.rarity) < 0.05:
        return ""
    return f"; {in_bits(step.rarity, signed=True)} as {'rare' if step.rarity > 0 else 'frequent'}"


class _Scale:
    """Where a weight is on the x axis."""

    def __init__(self, extent: tuple[float, float]) -> None:
        low, high = extent
        pad = max((high - low) * 0.04, 0.5)
        self.low, self.high = low - pad, high + pad

    def at(self, bits: float) -> float:
        bits = min(max(bits, self.low), self.high) if not math.isnan(bits) else 0.0
        return 24 + _NAMES + (bits - self.low) / (self.high - self.low) * _PLOT


def _extent(explanation: Explanation) -> tuple[float, float]:
    """The least and most that is drawn, so that all pictures of the page have one scale."""
    drawn = [0.0, explanation.threshold, explanation.threshold + explanation.caution, *explanation.strangers.sums]
    if explanation.household:
        drawn += [*explanation.household.sums, explanation.household.total - explanation.caution]
        drawn.append(explanation.weight_by_model)
    if _raised(explanation) and explanation.weight is not None:
        drawn.append(explanation.weight)
    sane = [bits for bits in drawn if abs(bits) < _NO_WEIGHT]
    return min(sane), max(sane)


def _grid(drawing: Drawing, scale: _Scale, floor: float) -> None:
    for mark in ticks(scale.low, scale.high, 7):
        x = scale.at(mark)
        drawing.line(x, _TOP, x, floor, "muted" if mark == 0 else "grid")
        drawing.text(x, floor + 15, plain(mark), "muted", anchor="middle")


def _row(drawing: Drawing, n: int, label: str, more: str, *, bold: bool = False) -> None:
    y = _TOP + n * _ROW
    drawing.text(24, y + (15 if more else 21), label, size=12.5, bold=bold, room=_NAMES - 12)
    if more:
        drawing.text(24, y + 29, more, "muted", size=10.5, room=_NAMES - 12)


def _bar(
    drawing: Drawing, scale: _Scale, n: int, before: float, after: float, says: str, kind: str, *, hatched: bool
) -> None:
    a, b = sorted((scale.at(before), scale.at(after)))
    drawing.box(a, _TOP + n * _ROW + 7, max(b - a, 1.5), _ROW - 14, kind, says=says, hatched=hatched)


def _threshold(drawing: Drawing, scale: _Scale, bits: float, name: str, floor: float) -> None:
    if not math.isfinite(bits):
        return
    x = scale.at(bits)
    right = x < WIDTH - _FIGURES - 180
    drawing.line(x, _TOP - 22, x, floor, "threshold", dashed=True)
    drawing.text(x + (5 if right else -5), _TOP - 12, name, "threshold", anchor="start" if right else "end", bold=True)
