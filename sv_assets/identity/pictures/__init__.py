"""Pictures of what identity resolution did and why: from plain data to SVG, Markdown and HTML text.

They hold no personal data but what the caller gives; whatever comes from data is escaped.
"""

from sv_assets.identity.pictures.bars import capped_blocks, cluster_sizes, match_weights, rule_contributions
from sv_assets.identity.pictures.explanation import Explanation, Record, Step, Weighing
from sv_assets.identity.pictures.page import waterfall
from sv_assets.identity.pictures.words import comparison_in_words, level_in_words
from sv_assets.pictures.svg import as_markdown

__all__ = [
    "Explanation",
    "Record",
    "Step",
    "Weighing",
    "as_markdown",
    "capped_blocks",
    "cluster_sizes",
    "comparison_in_words",
    "level_in_words",
    "match_weights",
    "rule_contributions",
    "waterfall",
]
