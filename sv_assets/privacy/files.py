"""Where files of ours lie, and what erasure does with each."""

from collections.abc import Iterator
from pathlib import Path

from sv_assets import settings
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
