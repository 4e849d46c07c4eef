"""Which signals make an order unusual: how much less so it would be if one of them had its typical value."""

from collections.abc import Sequence

import numpy as np

from sv_assets.fraud.forest import Floats
from sv_assets.fraud.model import Model
from sv_assets.fraud.signals import in_words
from sv_assets.mongo import Document

TOP = 3
_LEAST = 0.0005


def contributions(model: Model, rows: Floats, scores: Floats) -> list[list[Document]]:
    """For each row the top signals, `{signal, share, says}`: the share of what all of them together add."""
    differs = rows != model.typical
    of_row, of_signal = np.nonzero(differs)
    if not len(of_row):
        return [[] for _ in rows]
    changed = rows[of_row].copy()
    changed[np.arange(len(of_row)), of_signal] = model.typical[of_signal]
    adds = scores[of_row] - model.forest.scores(changed)
    added: list[list[tuple[float, int]]] = [[] for _ in rows]
    for row, signal, more in zip(of_row.tolist(), of_signal.tolist(), adds.tolist(), strict=True):
        if more > _LEAST:
            added[row].append((more, signal))
    return [_top(model, rows[n], found) for n, found in enumerate(added)]


def _top(model: Model, row: Floats, found: Sequence[tuple[float, int]]) -> list[Document]:
    whole = sum(more for more, _ in found)
    top = sorted(found, key=lambda one: (-one[0], one[1]))[:TOP]
    return [
        {
            "signal": model.names[signal],
            "share": round(more / whole, 3),
            "says": in_words(model.names[signal], float(row[signal])),
        }
        for more, signal in top
    ]
