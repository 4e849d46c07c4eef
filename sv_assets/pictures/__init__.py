"""Drawings that every station can show of itself, from plain figures to SVG and Markdown."""

from sv_assets.pictures.history import Panel, history
from sv_assets.pictures.svg import as_markdown, escaped, markdown_escaped

__all__ = ["Panel", "as_markdown", "escaped", "history", "markdown_escaped"]
