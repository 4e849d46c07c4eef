"""What staff noted of a few customers: that they are vulnerable, or bereaved."""

from sv_assets.local.generator.calendar import Calendar, Draw
from sv_assets.local.generator.rows import Batch

FLAGS = (("VULNERABLE", 0.02), ("BEREAVED", 0.006))
"""Code, and the share of customers who have it."""


def add_flags(batch: Batch, known: dict[int, list[int]], calendar: Calendar, draw: Draw) -> None:
    """`known` are crm's CustomerIds by person. A third of the flags has ended. `draw` is of its own: others stay the same."""
    for customers in known.values():
        for code, share in FLAGS:
            if draw() >= share:
                continue
            day = int(draw() * (calendar.last + 1))
            raised = calendar.stamp(day, draw)
            ended_on = day + 30 + int(draw() * 200)
            ended = calendar.stamp(ended_on, draw) if draw() < 0.34 and ended_on <= calendar.last else None
            batch.rows["crm", "CustomerFlag"].append((customers[0], code, raised, ended, ended or raised))
