"""Small changes to the text of a YAML file: what is not changed stays as it is, to the last blank.

A YAML library that reads and writes again would wrap a person's lines anew. So nodes say where they stand in the text, and
only there something is put in, replaced or taken out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from sv_assets.sources.introspect.render import filled, flow, items_of, scalar, wrapped


@dataclass
class Edits:
    """Changes to one text, each by its place in the text as it was. They do not overlap."""

    text: str
    changes: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def applied(self) -> str:
        """The text with all changes."""
        text = self.text
        ordered = sorted(enumerate(self.changes), key=lambda change: (change[1][0], change[0]), reverse=True)
        for _, (start, end, new) in ordered:
            text = text[:start] + new + text[end:]
        return text

    def replace(self, node: yaml.Node, new: str) -> None:
        self.changes.append((node.start_mark.index, end_of(node), new))

    def insert_lines(self, after: int, lines: Sequence[str]) -> None:
        """Whole lines, below the line in which the place `after` is."""
        if lines:
            end = self._line_end(after)
            self.changes.append((end, end, "".join(f"{self.newline}{line}" for line in lines)))

    def add_to_mapping(self, node: yaml.MappingNode, added: Mapping[str, Any]) -> None:
        """Items at the end of a mapping, in its own style."""
        items = list(items_of(added))
        if not items:
            return
        if not node.flow_style:
            margin = " " * node.value[0][0].start_mark.column
            self.insert_lines(end_of(node), [margin + item for item in items])
            return
        place = end_of(node.value[-1][1]) if node.value else node.start_mark.index + 1
        line_start = self._line_start(place)
        begin = self.text[line_start:place]
        # Further lines stand as far in as those that the mapping has already, else two deeper than its own.
        deeper = (
            node.value[-1][0].start_mark.column
            if node.value and node.value[-1][0].start_mark.line > node.start_mark.line
            else 0
        )
        indent = deeper or len(begin) - len(begin.lstrip()) + (2 if not begin.lstrip().startswith("- ") else 4)
        lines = filled(begin + ("," if node.value else ""), items, indent) if node.value else [begin + ", ".join(items)]
        self.changes.append((place, place, self.newline.join(lines)[len(begin) :]))

    def set_word(self, entry: yaml.MappingNode, word: str, value: Any) -> None:
        """A word of an entry: its value replaced if it is there, else the word added at the end of the entry."""
        known = child(entry, word)
        if known is not None:
            self.replace(known, scalar(value) if not isinstance(value, (Mapping, list)) else flow(value))
        elif entry.flow_style:
            self.add_to_mapping(entry, {word: value})
        else:
            self.insert_lines(end_of(entry), wrapped(word, value, entry.value[0][0].start_mark.column))

    def remove_word(self, entry: yaml.MappingNode, word: str) -> None:
        """A word of an entry, with its line or its comma."""
        at = next((n for n, (key, _) in enumerate(entry.value) if key.value == word), None)
        if at is None:
            return
        key, value = entry.value[at]
        if not entry.flow_style and at > 0:
            start = self._line_start(key.start_mark.index)
            end = self._line_end(end_of(value))
            self.changes.append((start, min(end + len(self.newline), len(self.text)), ""))
        elif at > 0:
            self.changes.append((end_of(entry.value[at - 1][1]), end_of(value), ""))
        elif len(entry.value) > 1:
            self.changes.append((key.start_mark.index, entry.value[1][0].start_mark.index, ""))

    def end_of_block(self, last: yaml.Node, column: int) -> int:
        """A place in the last line that belongs to `last`: comments below it belong to it that are as far in as `column`."""
        place = self._line_end(end_of(last))
        look = place
        while look < len(self.text):
            start = look + len(self.newline)
            end = self._line_end(start)
            line = self.text[start:end]
            if line.strip() and not (line.lstrip().startswith("#") and len(line) - len(line.lstrip()) >= column):
                break
            if line.strip():
                place = end
            if end >= len(self.text):
                break
            look = end
        return place

    def _line_end(self, place: int) -> int:
        end = self.text.find(self.newline, place)
        return len(self.text) if end < 0 else end

    def _line_start(self, place: int) -> int:
        return self.text.rfind("\n", 0, place) + 1


def child(node: yaml.Node | None, word: str) -> yaml.Node | None:
    """The value of a word in a mapping."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == word), None)


def end_of(node: yaml.Node) -> int:
    """Where the last letter of a node is. PyYAML's own mark of a block is where the next thing begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end_of(last[1] if isinstance(last, tuple) else last)
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return int(node.end_mark.index) - 1
    return int(node.end_mark.index)
