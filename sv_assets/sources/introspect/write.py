"""A `defs.yaml` is written whole or not at all, and only where the catalogue loads with it."""

import os
from pathlib import Path

from sv_assets.catalogue.load import Catalogue, check_catalogue, read_sources
from sv_assets.errors import ConfigurationError


def write(path: Path, text: str, catalogue: Path, dry_run: bool = False) -> None:
    """Put `text` in the place of `path`, after it was read with all other files of the catalogue's folder.

    Line ends are written as they are in `text`. Raises ConfigurationError, and leaves the file as it was, where the
    catalogue would not load with it. A file outside the catalogue is checked by itself. `dry_run`: checked, not written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_bytes(text.encode("utf-8"))
        _check(new, path, catalogue)
        if not dry_run:
            if path.exists():
                new.chmod(path.stat().st_mode & 0o777)
            os.replace(new, path)
    except ConfigurationError as error:
        message = str(error).replace(str(new), str(path))
        raise ConfigurationError(
            f"Nothing was written, because the catalogue would not load with it: {message}"
        ) from None
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{path} cannot be written ({error}). Name another file with --output.") from None
    finally:
        new.unlink(missing_ok=True)
        if not path.exists() and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _check(new: Path, path: Path, catalogue: Path) -> None:
    files = [file for file in sorted(catalogue.glob("*/defs.yaml")) if file.resolve() != path.resolve()]
    is_in_catalogue = path.name == "defs.yaml" and path.resolve().parent.parent == catalogue.resolve()
    sources = list(read_sources(new))
    for file in files if is_in_catalogue else ():
        sources += read_sources(file)
    check_catalogue(Catalogue(tuple(sorted(sources, key=lambda source: source.key))))
