"""An isolation forest as plain numbers: how unusual an order is, worked out here, from trees that scikit-learn grew.

A model is stored as arrays, not as a pickle: a pickle runs whatever it says when it is read, and reads only under the
version that wrote it. Scores equal scikit-learn's (`IsolationForest.score_samples`, with the sign turned around) to the last
bits; a test holds them to that.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from sv_assets.errors import SvError
from sv_assets.mongo import Document

Floats = npt.NDArray[np.float64]
_EULER = 0.5772156649015329
_ARRAYS = {"feature": "<i2", "threshold": "<f8", "left": "<i4", "right": "<i4", "length": "<f8", "roots": "<i4"}
"""How each array is stored: little-endian, of that type."""
_TOGETHER = 1_000_000
"""So many ways through trees are gone at once: some tens of MB, however many trees there are."""


@dataclass(frozen=True)
class Forest:
    """All trees in one table of nodes. A leaf has `feature` -1 and a `length`, the path that ends in it; else the
    order goes `left` where its signal is at most `threshold`. `roots` are the first nodes of the trees."""

    feature: npt.NDArray[np.int16]
    threshold: Floats
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    length: Floats
    roots: npt.NDArray[np.int32]
    sample: int

    def scores(self, rows: Floats) -> Floats:
        """How unusual each row is, from 0 to 1: 2 ** -(mean path / usual path). 0.5 is as usual as can be."""
        if not len(rows):
            return np.zeros(0)
        together = max(_TOGETHER // len(self.roots), 1)
        if len(rows) > together:
            return np.concatenate([self.scores(rows[n : n + together]) for n in range(0, len(rows), together)])
        values = rows.astype(np.float32)  # as scikit-learn compares them
        at = np.tile(self.roots, (len(rows), 1))
        number = np.arange(len(rows))[:, None]
        while True:
            feature = self.feature[at]
            inside = feature >= 0
            if not inside.any():
                break
            goes_left = values[number, np.maximum(feature, 0)] <= self.threshold[at]
            at = np.where(inside, np.where(goes_left, self.left[at], self.right[at]), at)
        paths = self.length[at].sum(axis=1)
        usual = float(average_path(np.array([self.sample]))[0])
        scores: Floats = 2.0 ** -(paths / (len(self.roots) * usual))
        return scores

    def stored(self) -> Document:
        """As a document holds it."""
        arrays = {
            name: np.ascontiguousarray(getattr(self, name), dtype=kind).tobytes() for name, kind in _ARRAYS.items()
        }
        return {**arrays, "sample": self.sample}


def read_forest(document: Document) -> Forest:
    """The forest in a document. Raises SvError for arrays that make no forest."""
    try:
        arrays = {name: np.frombuffer(document[name], dtype=kind) for name, kind in _ARRAYS.items()}
        forest = Forest(**arrays, sample=int(document["sample"]))
    except (KeyError, ValueError, TypeError) as error:
        raise SvError(
            f"A model in fraud.models cannot be read ({type(error).__name__}). Run `sv fraud train`."
        ) from None
    nodes = {len(getattr(forest, f.name)) for f in fields(Forest) if f.name not in ("roots", "sample")}
    ends = forest.feature < 0
    inner = np.arange(len(forest.feature))[~ends]
    # Children stand behind their parents, so that every path ends.
    sound = len(nodes) == 1 and bool(len(forest.roots)) and bool((forest.roots >= 0).all())
    sound = sound and bool((forest.roots < len(forest.feature)).all()) and forest.sample > 1
    for children in (forest.left, forest.right) if sound else ():
        sound = sound and bool((children[~ends] > inner).all()) and bool((children[~ends] < len(forest.feature)).all())
    if not sound:
        raise SvError("A model in fraud.models is no forest. Run `sv fraud train`.")
    return forest


def average_path(size: npt.NDArray[np.int64]) -> Floats:
    """The mean path of an unsuccessful search in a binary tree over so many points (Liu, Ting and Zhou 2008, equation 1)."""
    found = np.zeros(len(size), dtype=np.float64)
    found[size == 2] = 1.0
    many = size > 2
    n = size[many].astype(np.float64)
    found[many] = 2.0 * (np.log(n - 1.0) + _EULER) - 2.0 * (n - 1.0) / n
    return found


def grow(rows: Floats, *, trees: int, sample: int, seed: int) -> Forest:
    """A forest over ordinary orders, grown by scikit-learn. The same rows in the same order give the same forest."""
    from sklearn.ensemble import IsolationForest  # a second and a half: only who trains waits for it

    grown = IsolationForest(n_estimators=trees, max_samples=min(sample, len(rows)), random_state=seed, n_jobs=1)
    grown.fit(rows.astype(np.float32))
    parts: dict[str, list[npt.NDArray[np.generic]]] = {name: [] for name in _ARRAYS}
    start = 0
    for one in grown.estimators_:
        tree = one.tree_
        leaves = tree.children_left < 0
        depth = _depths(tree.children_left, tree.children_right)
        parts["feature"].append(np.where(leaves, -1, tree.feature))
        parts["threshold"].append(tree.threshold)
        parts["left"].append(np.where(leaves, 0, tree.children_left + start))
        parts["right"].append(np.where(leaves, 0, tree.children_right + start))
        parts["length"].append(np.where(leaves, depth + average_path(tree.n_node_samples), 0.0))
        parts["roots"].append(np.array([start]))
        start += tree.node_count
    arrays = {name: np.concatenate(parts[name]).astype(kind) for name, kind in _ARRAYS.items()}
    return Forest(**arrays, sample=int(grown.max_samples_))


def _depths(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Floats:
    depth = np.zeros(len(left))
    for node in range(len(left)):  # children stand behind their parents
        for child in (left[node], right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return depth
