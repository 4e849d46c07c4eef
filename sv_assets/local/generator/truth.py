"""The truth: which source rows are one person. Kept in `<local_dir>/truth.csv`, which the pipeline never reads."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from sv_assets.local.generator.people import person_name
from sv_assets.local.generator.rows import Truth

FILE = "truth.csv"
HEADER = ("source", "key", "person")


def write_truth(file: TextIO, truth: Iterable[Truth], *, header: bool = False) -> None:
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(HEADER)
    writer.writerows((source, key, person_name(number)) for source, key, number in truth)


def change_truth(path: Path, added: Iterable[Truth], removed: set[tuple[str, str]]) -> None:
    """Adds lines, and takes out those of rows that are gone, in one atomic replacement."""
    changed = path.with_suffix(".new")
    with path.open(encoding="utf-8", newline="") as old, changed.open("w", encoding="utf-8", newline="") as new:
        for line in old:
            source, key, _ = line.rstrip("\n").split(",")
            if (source, key) not in removed:
                new.write(line)
        write_truth(new, added)
        new.flush()
        os.fsync(new.fileno())
    changed.replace(path)
