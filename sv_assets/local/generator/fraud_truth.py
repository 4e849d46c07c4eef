"""The truth about fraud: which orders are part of what. Kept in `<local_dir>/fraud_truth.csv`, which the pipeline never reads."""

import csv
from collections.abc import Iterable
from typing import NamedTuple, TextIO

FILE = "fraud_truth.csv"


class Planted(NamedTuple):
    """An order of a fraud, or (`fraud` 0) of honest people that looks like one. `incident` is what belongs together."""

    source: str
    key: str
    pattern: str
    incident: str
    fraud: int


def write_fraud_truth(file: TextIO, planted: Iterable[Planted], *, header: bool = False) -> None:
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(Planted._fields)
    writer.writerows(planted)
