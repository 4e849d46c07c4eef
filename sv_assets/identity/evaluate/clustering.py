"""Clustering of all that is on a workbench: `divide`, on a portion of the connected components at a time.

Links never reach from one component to another, so the portions may be divided one by one, and memory does not grow with
the number of records. Records without links are not looked at: each is a cluster of its own.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sv_assets.identity.division import CERTAIN, IDENTICAL, MODEL, Division, Link, Profile, divide
from sv_assets.identity.evaluate.measures import Labels
from sv_assets.identity.linking import MOST_IDENTICAL
from sv_assets.identity.workbench import Workbench

PORTION = 50_000
"""So many records with links are divided at a time, or one component where that is larger."""
CHAIN = f"""
    select before as l, n as r from (
        select lag(n) over (partition by identical order by id) as before, n, count(*) over (partition by identical) as same
        from record join name_of using (n) where identical is not null)
    where before is not null and same <= {MOST_IDENTICAL}
    """
"""SQL for the records that say the very same, each with the next one by id."""
Places = npt.NDArray[np.int64]


def clustered(bench: Workbench, *, households: bool) -> Iterator[tuple[Division, dict[str, int]]]:
    """Divides the records that have links in `scored`, or say the very same. Yields divisions, and their records' numbers."""
    bench.execute(
        f"""
        create or replace temp table link as
        select l, r, weight, rule, name_alone, conflict, false as identical from scored
        union all
        select l, r, {CERTAIN - 1}, null, false, null, true from ({CHAIN})
        """
    )
    ends = bench.execute("select l, r from link").fetchnumpy()
    component = components(bench.records, np.asarray(ends["l"]), np.asarray(ends["r"]))
    linked = np.unique(np.concatenate([ends["l"], ends["r"]])).astype(np.int64)
    del ends
    portion = portions(component[linked], PORTION)
    with bench.arriving(pa.table({"n": linked, "portion": portion})):
        bench.execute("create or replace temp table portion_of as select n, portion from arriving order by portion, n")
    bench.execute(
        "create or replace temp table link as select portion, link.* from link join portion_of on n = l order by portion"
    )
    bench.execute(
        """
        create or replace temp table profile as
        select portion, n, id, coalesce(first, '') as first, coalesce(last, '') as last, coalesce(gender, '') as gender,
            coalesce(born, '') as born, given_or_others as given
        from portion_of join record using (n) join name_of using (n) order by portion
        """
    )
    for number in range(int(portion.max(initial=-1)) + 1):
        yield _divided(bench, number, households)
    for table in ("link", "portion_of", "profile"):
        bench.execute(f"drop table {table}")


def components(records: int, left: Places, right: Places) -> Labels:
    """By record, the smallest number of a record that it is connected with."""
    root = np.arange(records, dtype=np.int64)
    while True:
        a, b = root[left], root[right]
        apart = a != b
        if not apart.any():
            return root
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(shorter := root[root], root):
            root = shorter


def portions(component: Labels, size: int) -> Places:
    """By record, the number of its portion: whole components, about `size` records together."""
    _, place, sizes = np.unique(component, return_inverse=True, return_counts=True)
    return ((np.cumsum(sizes) - sizes) // size)[place].astype(np.int64)


def _divided(bench: Workbench, portion: int, households: bool) -> tuple[Division, dict[str, int]]:
    rules = [rule.name for rule in bench.settings.rules]
    names: dict[int, str] = {}
    profiles: dict[str, Profile] = {}
    for n, record, first, last, gender, born, given in bench.execute(
        f"select n, id, first, last, gender, born, given from profile where portion = {portion}"
    ).fetchall():
        names[n] = record
        profiles[record] = Profile(first, last, gender, born, tuple(given or ())[1 if first else 0 :])

    def link(row: Sequence[Any]) -> Link:
        left, right, weight, rule, name_alone, conflict, identical = row
        a, b = names[left], names[right]
        reason = IDENTICAL if identical else MODEL if rule is None else rules[rule]
        return Link(min(a, b), max(a, b), weight, reason, name_alone, conflict)

    found = bench.execute(
        f"select l, r, weight, rule, name_alone, conflict, identical from link where portion = {portion}"
    ).fetchall()
    division = divide(profiles, map(link, found), bench.settings, households=households)
    return division, {record: n for n, record in names.items()}
