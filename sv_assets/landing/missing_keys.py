"""Finding deleted rows, for captures that cannot see them: keys that have landed and are gone from the source.

The landed keys are read first and the source's keys after them, so a row that appears in between is never taken for a
deleted one. Memory is flat whatever the number of rows: both sides are dealt out by key hash to files, and one file
after the other is compared.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import bson

from sv_assets.mongo import CODEC

KEYS_A_FILE = 50_000
_DIGEST = 16


class MissingKeys:
    """The landed keys that are not among the source's keys; may be gone through more than once while it is open.

    `landed` is read to its end before `source` is begun; `landed_count` is the rough number of landed keys.
    """

    def __init__(self, landed: Iterable[Any], source: Iterable[Any], landed_count: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sv-reconcile-")
        files = landed_count // KEYS_A_FILE + 1
        try:
            self._landed = _deal_out(Path(self._folder.name), "landed", landed, files, whole=True)
            self._source = _deal_out(Path(self._folder.name), "source", source, files, whole=False)
        except BaseException:
            self._folder.cleanup()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def __iter__(self) -> Iterator[Any]:
        for landed_file, source_file in zip(self._landed, self._source, strict=True):
            digests = _digests(source_file)
            with landed_file.open("rb") as handle:
                for key in bson.decode_file_iter(handle, codec_options=CODEC):
                    if _digest(key) not in digests:
                        yield key["k"]


def _deal_out(folder: Path, name: str, keys: Iterable[Any], files: int, *, whole: bool) -> list[Path]:
    paths = [folder / f"{name}-{n}" for n in range(files)]
    with ExitStack() as stack:
        handles = [stack.enter_context(path.open("wb")) for path in paths]
        for key in keys:
            document = {"k": key}
            digest = _digest(document)
            handles[int.from_bytes(digest[:4], "big") % files].write(
                bson.encode(document, codec_options=CODEC) if whole else digest
            )
    return paths


def _digests(path: Path) -> set[bytes]:
    data = path.read_bytes()
    return {data[n : n + _DIGEST] for n in range(0, len(data), _DIGEST)}


def _digest(document: dict[str, Any]) -> bytes:
    return hashlib.blake2b(bson.encode(document, codec_options=CODEC), digest_size=_DIGEST).digest()
