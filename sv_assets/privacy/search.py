"""A byte search: where any of some texts stands in any collection, file or log. It is how an erasure proves itself."""

import json
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import phonenumbers
from bson import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from sv_assets.ledger import EMAIL, ERASED, GMAIL
from sv_assets.mongo import CODEC, Document, Store

_RAW: CodecOptions[RawBSONDocument] = CODEC.with_options(document_class=RawBSONDocument)
_PIECE = 8 * 1024**2
_E164 = re.compile(r"\+[1-9]\d{7,14}")
_BETWEEN = r"[\s().\-/]{0,3}"


def pattern_of(texts: Iterable[str]) -> re.Pattern[bytes] | None:
    """What finds any of the texts, in upper and lower case, composed or decomposed (Unicode), as JSON and URLs write them; an e-mail
    address with any `+tag`, too, and a telephone number (E.164) however it is written. None for no texts."""
    texts = {text for text in texts if text}
    spellings = {spelling for text in texts for spelling in _spellings(text)}
    if not spellings:
        return None
    parts = sorted((re.escape(s.encode(errors="surrogatepass")) for s in spellings), key=len, reverse=True)
    parts += [written for text in sorted(texts) if _E164.fullmatch(text) and (written := _written_number(text))]
    parts += [_written_address(text) for text in sorted(texts) if EMAIL.fullmatch(text)]
    # An id must not be found as the beginning of a longer one. What JSON and URLs escape before it is no letter of it.
    begins = rb"(?:(?<![A-Za-z0-9_])|(?<=\\[nrtbf])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2}))"
    return re.compile(begins + b"(?:" + b"|".join(parts) + b")(?![A-Za-z0-9_])", re.IGNORECASE)


def _spellings(text: str) -> Iterator[str]:
    forms = {text}
    if not text.isascii():  # case of ASCII letters is the pattern's business
        forms |= {change(text) for change in (str.lower, str.upper, str.title, str.casefold)}
        forms |= {unicodedata.normalize(form, one) for one in forms for form in ("NFC", "NFD")}
    for one in forms:
        in_json = json.dumps(one)[1:-1]
        yield from (one, in_json, json.dumps(in_json)[1:-1], quote(one.encode(errors="surrogatepass"), safe=""))


def _written_number(e164: str) -> bytes:
    """A telephone number with or without its country, and with whatever stands between digits."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return b""
    country = _BETWEEN.join(f"{number.country_code}")
    digits = _BETWEEN.join(f"{number.national_number}")
    return rf"(?:[+(]{{0,2}}(?:00)?{country}{_BETWEEN}(?:\(?0\)?)?{_BETWEEN}|\(?0?){digits}".encode()


def _written_address(email: str) -> bytes:
    """An address as its owner may write it (`ledger.contacts_in`): with any `+tag`, and at Gmail with dots anywhere."""
    local, _, domain = email.lower().partition("@")
    local = local.partition("+")[0] or local
    if domain in GMAIL:
        local, domain = r"\.?".join(map(re.escape, local.replace(".", ""))), f"(?:{'|'.join(map(re.escape, GMAIL))})"
    else:
        local, domain = re.escape(local), re.escape(domain)
    return rf"{local}(?:\+[\w.+-]{{0,64}})?@{domain}".encode(errors="surrogatepass")


def in_collection(store: Store, database: str, collection: str, pattern: re.Pattern[bytes]) -> list[Any]:
    """The ids of the documents in which it is found."""
    raw: Collection[Any] = store.client[store.prefix + database].get_collection(collection, codec_options=_RAW)
    return [d["_id"] for d in raw.find({}).batch_size(5000) if pattern.search(d.raw)]


def in_document(document: Document, pattern: re.Pattern[bytes]) -> bool:
    return any(pattern.search(text.encode(errors="surrogatepass")) for text in _texts(document))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def without(value: Any, pattern: re.Pattern[bytes]) -> Any:
    """The same with every find replaced."""
    if isinstance(value, str):
        raw = value.encode(errors="surrogatepass")
        return pattern.sub(ERASED.encode(), raw).decode(errors="surrogatepass") if pattern.search(raw) else value
    if isinstance(value, bytes):
        return pattern.sub(ERASED.encode(), value) if pattern.search(value) else value  # of its own subtype
    if isinstance(value, dict):
        return {without(key, pattern): without(item, pattern) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, pattern) for item in value]
    return value


def in_file(path: Path, pattern: re.Pattern[bytes]) -> bool:
    """True if it is found in the bytes of a file."""
    return next(_finds(path, pattern), None) is not None


def redact_file(path: Path, pattern: re.Pattern[bytes]) -> int:
    """Overwrite every find with stars, in place; returns how many there were."""
    finds = list(_finds(path, pattern))
    if finds:
        with path.open("r+b") as handle:
            for start, length in finds:
                handle.seek(start)
                handle.write(b"*" * length)
    return len(finds)


def _finds(path: Path, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    overlap, offset, held = 1024, 0, b""
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE):
            data = held + piece
            base = offset - len(held)
            last = len(piece) == _PIECE
            end = len(data) - overlap if last else len(data)
            for match in pattern.finditer(data):
                if match.start() < end:
                    yield base + match.start(), match.end() - match.start()
            offset += len(piece)
            held = data[max(0, end) :] if last else b""


def is_sqlite(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(16) == b"SQLite format 3\x00"


def redact_sqlite(path: Path, pattern: re.Pattern[bytes]) -> int:
    """Replace every find in every row, and leave no trace of it in the free space of the file; returns how many rows changed.

    Raises sqlite3.OperationalError where another process keeps it locked.
    """
    changed = 0
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.create_function(
            "sv_found", 1, lambda value: value is not None and bool(pattern.search(_bytes(value)))
        )
        connection.create_function("sv_without", 1, lambda value: without(value, pattern))
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall():
            columns = [
                row[1]
                for row in connection.execute(f'PRAGMA table_info("{table}")')
                if row[2].upper() not in ("INTEGER", "DATETIME", "TIMESTAMP", "BOOLEAN")
            ]
            for column in columns:
                statement = f'UPDATE "{table}" SET "{column}" = sv_without("{column}") WHERE sv_found("{column}")'
                changed += connection.execute(statement).rowcount
        if changed:
            connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return changed


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")
