"""Bookmarks: how far each source has been read. They live in MongoDB, and move only after what they cover is safe."""

import datetime as dt
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from sv_assets.catalogue.capture import ModifiedAtCapture
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.mongo import Document, Store
from sv_assets.sources.records import Position


class Bookmark:
    """The bookmark of one source: captured by `mode`, its rows told apart by the columns `key` (of a queue: its paths of
    key and version)."""

    def __init__(self, store: Store, source_key: str, mode: str, key: Sequence[str] = ()) -> None:
        self._collection = store.control["bookmarks"]
        self._id = source_key
        self._mode = mode
        self._key = list(key)

    def read(self) -> Position | None:
        """Where the last run got to; None before the first. Raises ConfigurationError if capture mode or key changed."""
        document = self._collection.find_one({"_id": self._id})
        if document is None:
            return None
        if document["mode"] != self._mode:
            raise ConfigurationError(
                f"{self._id} was captured by {document['mode']} and is now declared as {self._mode}; their versions do not "
                f"compare. Forget the old copy with `sv reset {self._id}`, then run again."
            )
        if (document.get("key") or self._key) != self._key:
            raise ConfigurationError(
                f"{self._id} landed by the key ({', '.join(document['key'])}) and is now declared with ({', '.join(self._key)}). "
                f"Forget the old copy with `sv reset {self._id}`, then run again."
            )
        position: Position = document["position"]
        return position

    def move(self, position: Position, run_id: str) -> None:
        """Record `position`. Two runs at once may leave the lower one: the next run then reads a little twice."""
        document: Document = {
            "_id": self._id,
            "mode": self._mode,
            "key": self._key,
            "position": dict(position),
            "moved_at": dt.datetime.now(dt.timezone.utc),
            "run_id": run_id,
        }
        self._collection.replace_one({"_id": self._id}, document, upsert=True)


def lag_seconds(store: Store, source: Source, column_types: Mapping[str, str]) -> float | None:
    """How far the bookmark of a source is behind: seconds since the moment it stands for where it is a moment, else since
    it last moved. None where there is none yet. `column_types` are those of the landed columns, as far as they are known.
    """
    document = store.control["bookmarks"].find_one({"_id": source.key})
    if document is None:
        return None
    reached = _reached(document, source, column_types) or document["moved_at"]
    return max(0.0, (dt.datetime.now(dt.timezone.utc) - reached).total_seconds())


def _reached(document: Document, source: Source, column_types: Mapping[str, str]) -> dt.datetime | None:
    """The moment that a bookmark by date-time stands for: in UTC for a column with offsets, else in the system's own time."""
    capture = None if source.is_queue else source.table.capture
    text = document["position"].get("modified_at")
    if not isinstance(capture, ModifiedAtCapture) or not isinstance(text, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(text[:26])
    except ValueError:
        return None
    has_offset = column_types.get(capture.column, "").startswith("datetimeoffset")
    zone = dt.timezone.utc if has_offset else ZoneInfo(source.sql_system.time_zone)
    return moment.replace(tzinfo=zone) if moment.year > 1900 else None


def shown(position: Position | None) -> str:
    """A position as one line for people: no key values, because keys may be personal."""
    if position is None:
        return "none (first run)"
    if "scan_after" in position:
        return "within the first scan"
    mode, value = next(iter(position.items()))
    return f"{mode} {value.hex() if isinstance(value, bytes) else value}"
