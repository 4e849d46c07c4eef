"""Small drawings in SVG, by hand: shapes and words on a white card, with a title and a description for who cannot see them.

Colours are attributes, so that a drawing stands alone, and every shape has a class (`f-more` for a fill, `s-more` for a
stroke), so that a page that holds it can give it other colours: style sheets outrank attributes.
"""

import base64
import math
import re
import unicodedata
from xml.sax.saxutils import escape

LIGHT = {
    "card": "#ffffff",
    "edge": "#d5dae1",
    "ink": "#1f2933",
    "muted": "#5b6672",
    "grid": "#e4e8ed",
    "more": "#2a5db0",
    "less": "#b4540a",
    "below": "#7d8896",
    "threshold": "#b3261e",
}
DARK = {
    "card": "#1d242e",
    "edge": "#3a4552",
    "ink": "#e8ecf1",
    "muted": "#a9b4c0",
    "grid": "#303a46",
    "more": "#7fb0ff",
    "less": "#f0a35e",
    "below": "#8c98a6",
    "threshold": "#ff8a80",
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif"
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TURNS_TEXT_AROUND = re.compile("[\u202a-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|&~])")
_MARGIN = 1.0


def escaped(text: object) -> str:
    """Text as XML and HTML take it, in elements and attributes; characters that no XML may hold become U+FFFD."""
    clean = _TURNS_TEXT_AROUND.sub("\ufffd", _NO_XML.sub("\ufffd", str(text)))
    return escape(" ".join(clean.split()), {'"': "&quot;", "'": "&#39;"})


def markdown_escaped(text: object) -> str:
    """Text that Markdown takes for nothing but text, in one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(_TURNS_TEXT_AROUND.sub("\ufffd", str(text)).split()))


def as_markdown(svg: str, title: str) -> str:
    """The picture for `MetadataValue.md`: an image with a data URL."""
    data = base64.b64encode(svg.encode("utf-8", "replace")).decode("ascii")
    return f"![{markdown_escaped(title)}](data:image/svg+xml;base64,{data})"


def in_bits(bits: float, *, signed: bool = False) -> str:
    """`12.3`, `−4.0`; signed `+12.3`."""
    if not math.isfinite(bits):
        return "?" if math.isnan(bits) else "∞" if bits > 0 else "−∞"
    text = f"{bits:{'+' if signed else ''}{'.1f' if abs(bits) < 1e6 else '.3g'}}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def plain(number: float) -> str:
    """A setting or a mark on an axis, as short as it goes: `0.5`, `−20`."""
    return f"{number:g}".replace("-", "−") if math.isfinite(number) else in_bits(number)


def count(number: int, room: float = math.inf, size: float = 11) -> str:
    """`1,234,567`, or `1.23M` where that does not fit into `room` pixels."""
    text = f"{number:,}"
    return text if width_of(text, size) <= room else about(number)


def about(number: int) -> str:
    """A count in three digits: `999`, `1.23k`, `45.7M`, `2bn`."""
    for unit, of in (("bn", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= of * 0.9995:
            value = number / of
            text = f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text) + unit
    return str(number)


def of_them(number: int, what: str) -> str:
    """`1 link`, `2,000 links`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def width_of(text: str, size: float) -> float:
    """About how wide a text is drawn, rather too wide: fonts differ."""
    ems = 0.0
    for character in text:
        if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn", "Me"):
            continue
        if unicodedata.east_asian_width(character) in "WF":
            ems += 1.0
        elif character in "ijl.,:;|'!()[] -":
            ems += 0.34
        else:
            ems += 0.85 if character in "mwMW@%—" else 0.7 if character.isupper() else 0.59
    return ems * size


def shortened(text: str, room: float, size: float) -> str:
    """The text, or its beginning and an ellipsis where it is wider than `room` pixels."""
    text = " ".join(text.split())
    if width_of(text, size) <= room:
        return text
    left = room - size
    for n, character in enumerate(text):
        left -= width_of(character, size)
        if left < 0:
            return text[:n].rstrip() + "…"
    return text


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most about `most` round numbers from `low` to `high`."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= most)
    return [n * step for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


class Drawing:
    """A card that shapes are put on one after the other. `name` keeps its ids apart from those of others on a page."""

    def __init__(self, name: str, width: float, height: float, title: str, description: str) -> None:
        self.name, self.width, self.height = name, width, height
        self._title, self._description = title, description
        self._shapes: list[str] = []
        self._hatches: dict[str, None] = {}

    def box(
        self, x: float, y: float, width: float, height: float, kind: str, *, says: str = "", hatched: bool = False
    ) -> None:
        """A bar. `says` is read out, and shown where the mouse rests on it."""
        if hatched:
            self._hatches[kind] = None
            paint = f'fill="url(#{self.name}-{kind})" class="s-{kind}" stroke="{LIGHT[kind]}"'
        else:
            paint = f'class="f-{kind}" fill="{LIGHT[kind]}"'
        place = f'x="{_at(x)}" y="{_at(y)}" width="{_at(max(width, 0))}" height="{_at(max(height, 0))}"'
        self._shapes.append(
            f"<rect {place} {paint}><title>{escaped(says)}</title></rect>" if says else f"<rect {place} {paint}/>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str, *, dashed: bool = False) -> None:
        style = ' stroke-width="1.5" stroke-dasharray="5 3"' if dashed else ' stroke-width="1"'
        place = f'x1="{_at(x1)}" y1="{_at(y1)}" x2="{_at(x2)}" y2="{_at(y2)}"'
        self._shapes.append(f'<line {place} class="s-{kind}" stroke="{LIGHT[kind]}"{style}/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        kind: str = "ink",
        *,
        anchor: str = "start",
        size: float = 11,
        bold: bool = False,
        room: float = math.inf,
        upright: bool = False,
        halo: bool = False,
    ) -> None:
        """Words; what is wider than `room` is shortened, and whole where the mouse rests on it. A `halo` covers lines."""
        shown = shortened(words, room, size)
        whole = f"<title>{escaped(words)}</title>" if shown != " ".join(words.split()) else ""
        more = f' transform="rotate(-90 {_at(x)} {_at(y)})"' if upright else ""
        more += ' font-weight="600"' if bold else ""
        more += f' stroke="{LIGHT["card"]}" stroke-width="2.5" paint-order="stroke"' if halo else ""
        kinds = f"f-{kind} s-card" if halo else f"f-{kind}"
        more += "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._shapes.append(
            f'<text x="{_at(x)}" y="{_at(y)}" class="{kinds}" fill="{LIGHT[kind]}" font-size="{_at(size)}"{more}>'
            f"{whole}{escaped(shown)}</text>"
        )

    def svg(self) -> str:
        hatches = "".join(
            f'<pattern id="{self.name}-{kind}" width="6" height="6" patternUnits="userSpaceOnUse"'
            f' patternTransform="rotate(45)"><rect width="6" height="6" class="f-card" fill="{LIGHT["card"]}"/>'
            f'<rect width="3" height="6" class="f-{kind}" fill="{LIGHT[kind]}"/></pattern>'
            for kind in self._hatches
        )
        width, height = _at(self.width), _at(self.height)
        card = (
            f'<rect x="{_MARGIN}" y="{_MARGIN}" width="{_at(self.width - 2 * _MARGIN)}"'
            f' height="{_at(self.height - 2 * _MARGIN)}" rx="10" class="f-card s-edge" fill="{LIGHT["card"]}"'
            f' stroke="{LIGHT["edge"]}"/>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            f' role="img" aria-labelledby="{self.name}-title {self.name}-says" font-family="{FONT}">'
            f'<title id="{self.name}-title">{escaped(self._title)}</title>'
            f'<desc id="{self.name}-says">{escaped(self._description)}</desc>'
            f"<defs>{hatches}</defs>{card}{''.join(self._shapes)}</svg>"
        )


def _at(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
