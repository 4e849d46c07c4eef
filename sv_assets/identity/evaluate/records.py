"""The format of the files: records as CSV, one a row, and which person each of them is.

Records: `record_id, source, title, first_name, middle_name, last_name, date_of_birth, email, phone, address_line_1,
address_line_2, town, county, postcode, country`, and any `id_<name>` as strong identifiers. Only `record_id` is needed;
other columns are not looked at. Several values in a cell are separated by `;`: the n-th values of the address columns belong
together. A name that stands in one column only ("Mrs Jane Smith" as first name) is a full name.

Truth: `record_id, entity_id`.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path

from sv_assets.errors import ConfigurationError
from sv_assets.identity.compared import Description, PostalAddress
from sv_assets.identity.comparisons import comparisons
from sv_assets.identity.normalise import birth_date

ADDRESS = ("address_line_1", "address_line_2", "town", "county", "postcode", "country")
PERSON = ("title", "first_name", "middle_name", "last_name", "date_of_birth", "email", "phone")
IDENTIFIER = "id_"
Row = tuple[str, ...]
"""The cells of a record, in order of `RecordFile.columns`."""


@dataclass(frozen=True)
class RecordFile:
    """A file of records: its columns that are looked at, `record_id` first, and the names of the strong identifiers."""

    path: Path
    columns: tuple[str, ...]
    identifiers: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """The records. Raises ConfigurationError, with the line, for what is no record."""
        return _rows(self.path, self.columns)


def open_records(path: Path) -> RecordFile:
    """Look at the header. Raises ConfigurationError for a file that is none of records."""
    header = _header(path, ("record_id",))
    identifiers = sorted(name.removeprefix(IDENTIFIER) for name in header if name.startswith(IDENTIFIER))
    comparisons(identifiers)
    known = [name for name in (*PERSON, *ADDRESS) if name in header]
    return RecordFile(path, ("record_id", *known, *(f"{IDENTIFIER}{name}" for name in identifiers)), tuple(identifiers))


def read_truth(path: Path) -> Iterator[tuple[str, str]]:
    """Yields (record id, entity id); leaves out rows without an entity. Raises ConfigurationError, with the line."""
    columns = ("record_id", "entity_id")
    _header(path, columns)
    return ((record, entity) for record, entity in _rows(path, columns) if entity)


def in_chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows, `size` at a time."""
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


def describer(columns: Sequence[str]) -> Callable[[Row], Description]:
    """What turns a row with these columns into what it says of a person."""
    place = {name: at for at, name in enumerate(columns)}
    title, first, middle, last, born, email, phone = (place.get(name) for name in PERSON)
    address = [place.get(name) for name in ADDRESS]
    ids = [(name.removeprefix(IDENTIFIER), at) for name, at in place.items() if name.startswith(IDENTIFIER)]

    def described(row: Row) -> Description:
        def values(at: int | None) -> tuple[str, ...]:
            return _values(row[at]) if at is not None else ()

        firsts, middles, lasts = values(first), values(middle), values(last)
        full = None
        if not middles and (not lasts or first is None):
            firsts, lasts, full = _one_column(firsts or lasts, is_surname=not firsts and first is not None)
        return Description(
            title=(row[title].strip() or None) if title is not None else None,
            first=firsts,
            middle=middles,
            last=lasts,
            full=full,
            emails=values(email),
            phones=values(phone),
            born=_first_date(values(born)),
            addresses=_addresses([row[at] if at is not None else "" for at in address]),
            ids={name: found for name, at in ids if (found := values(at))},
        )

    return described


def _values(cell: str) -> tuple[str, ...]:
    if ";" not in cell:
        return (value,) if (value := cell.strip()) else ()
    return tuple(value for part in cell.split(";") if (value := part.strip()))


def _one_column(names: tuple[str, ...], *, is_surname: bool) -> tuple[tuple[str, ...], tuple[str, ...], str | None]:
    """First names, last names and full name of what stands in the only column that says anything."""
    if is_surname:
        return (), names, None
    if len(names) == 1 and " " in names[0]:
        return (), (), names[0]
    parts = [name.rpartition(" ") for name in names]
    if any(given for given, _, _ in parts):  # several full names
        return (
            tuple(given or name for given, _, name in parts),
            tuple(name if given else "" for given, _, name in parts),
            None,
        )
    return names, (), None


def _first_date(written: tuple[str, ...]) -> str | None:
    if len(written) < 2:
        return written[0] if written else None
    return next((one for one in written if birth_date(one)), written[0])


def _addresses(cells: list[str]) -> tuple[PostalAddress, ...]:
    if not any(cells):
        return ()
    if not any(";" in cell for cell in cells):
        one = [cell.strip() or None for cell in cells]
        return (PostalAddress(*one),) if any(one) else ()
    written = [[value.strip() or None for value in cell.split(";")] for cell in cells]
    most = max(map(len, written))
    several = ([values[n] if n < len(values) else None for values in written] for n in range(most))
    return tuple(PostalAddress(*one) for one in several if any(one))


def _header(path: Path, needed: Sequence[str]) -> list[str]:
    header = _names(next(_lines(path), (0, []))[1])
    if not header:
        raise ConfigurationError(f"{path} is empty; its first line should name the columns: {', '.join(needed)}, …")
    for name in needed:
        if name not in header:
            raise ConfigurationError(
                f"{path} has no column {name}; its first line should name the columns, separated by commas."
            )
    for name in header:
        if header.count(name) > 1 and (name in (*needed, *PERSON, *ADDRESS) or name.startswith(IDENTIFIER)):
            raise ConfigurationError(
                f"{path} has two columns {name}; rename one, or put both values in one cell with ; between."
            )
    return header


def _names(header: Sequence[str]) -> list[str]:
    return [name.strip().lower() for name in header]


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    lines = _lines(path)
    header = _names(next(lines)[1])
    width = len(header)
    pick = itemgetter(*(header.index(name) for name in columns), 0)
    for line, row in lines:
        if len(row) != width:
            if not row:
                continue
            if any(row[width:]):
                raise ConfigurationError(
                    f"{path}, line {line}, has {len(row)} values for {width} columns; put values with a comma in quotes."
                )
            row = [*row, *[""] * (width - len(row))]
        cells = pick(row)[:-1]
        record = cells[0].strip()
        if not record:
            if not any(row):
                continue
            raise ConfigurationError(f"{path}, line {line}, has no record_id; give every record one of its own.")
        yield (record, *cells[1:])


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line of the file that it ends on."""
    reader = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                yield reader.line_num, row
    except FileNotFoundError:
        raise ConfigurationError(f"There is no file {path}; give the path of a CSV file.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"{path} is not UTF-8 (some lines after line {reader.line_num if reader else 0}); save it as CSV with that encoding."
        ) from None
    except csv.Error as error:
        raise ConfigurationError(f"{path}, line {reader.line_num if reader else 0}, is not CSV: {error}.") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
