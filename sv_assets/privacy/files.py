"""Where files of ours lie, and what erasure does with each; and files that hold personal data, for their owner alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from sv_assets import settings
from sv_assets.errors import ConfigurationError
from sv_assets.privacy.declaration import Declaration


def folders() -> list[Path]:
    """Where files of ours lie: the folder of the estate, and that of Dagster's history."""
    found = [settings.local_dir()]
    if home := settings.variable("DAGSTER_HOME"):
        found.append(Path(home) / ".local")
    return sorted({path.resolve() for path in found if path.is_dir()})


def declared_files(declared: Declaration) -> Iterator[tuple[Path, str]]:
    """Each file of ours with what erasure does with it; the first entry that fits counts."""
    seen: set[Path] = set()
    for held in declared.files:
        for folder in folders():
            for path in sorted(folder.glob(held.name)):
                if path.is_file() and path not in seen:
                    seen.add(path)
                    yield path, held.handled


@contextmanager
def private_file(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """A file to write text to that nobody else can read, also where it was there already. Raises ConfigurationError where it
    cannot be written."""
    with os.fdopen(_opened(path), "w", encoding="utf-8", newline=newline) as handle:
        yield handle


def write_private(path: Path, content: bytes) -> None:
    """Write a whole file that nobody else can read. Raises as `private_file`."""
    with os.fdopen(_opened(path), "wb") as handle:
        handle.write(content)


def _opened(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if path.is_file():
            path.chmod(0o600)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}. Name another place.") from None
    return descriptor
