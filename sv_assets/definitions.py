"""The only entry point: everything under `defs/`, with its connections."""

from functools import lru_cache
from pathlib import Path

import dagster as dg

import sv_assets.collecting  # noqa: F401
from sv_assets.catalogue import load_catalogue
from sv_assets.components.loading import quick_loading
from sv_assets.resources import MongoResource
from sv_assets.settings import catalogue_dir


@dg.definitions
def defs() -> dg.Definitions:
    """Built once for as long as no declaration changes: runs that are forked from a warm process find them there."""
    return _built(declarations())


def declarations() -> tuple[tuple[Path, int, int], ...]:
    """Every file that definitions are read from, as it stands."""
    folder = Path(__file__).parent / "defs"
    files = {*folder.rglob("*.yaml"), *catalogue_dir().glob("*/defs.yaml")}
    return tuple((path, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in sorted(files))


@lru_cache(maxsize=1)
def _built(_: tuple[tuple[Path, int, int], ...]) -> dg.Definitions:
    with quick_loading():
        load_catalogue()  # one clear sentence for a wrong declaration, before anything is built from it
        return dg.Definitions.merge(
            dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
            dg.Definitions(resources={"mongo": MongoResource()}, executor=dg.in_process_executor),
        )
