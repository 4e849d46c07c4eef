"""Where the servers are: from the environment, else from the embedded estate that `sv estate up` started.

Connection strings in the catalogue are written `{{ env.NAME }}` and resolved when a connection is opened, not when
definitions load: so secrets never enter a definition, and definitions load on a machine that has none.
"""

import os
import re
from functools import lru_cache
from pathlib import Path

from sv_assets.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
_REFERENCE = re.compile(r"\{\{\s*env\.(\w+)\s*\}\}")
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(\S*)@")
_KEYWORD_SECRET = re.compile(r"(?i)(pwd|password|accesskey|secret)(\s*(?:=|%3D)\s*)(?:\{[^}]*\}|(?:(?!%3B)[^;&\s])+)")


def local_dir() -> Path:
    """The git-ignored folder of the embedded estate: `SV_LOCAL_DIR`, else `.local` in the project."""
    return Path(os.environ.get("SV_LOCAL_DIR", PROJECT_ROOT / ".local"))


def catalogue_dir() -> Path:
    """The folder with one `<system>/defs.yaml` a legacy system: `SV_CATALOGUE_DIR`, else the project's own."""
    return Path(os.environ.get("SV_CATALOGUE_DIR", PROJECT_ROOT / "sv_assets" / "defs" / "legacy"))


def variable(name: str) -> str | None:
    """The value of an environment variable, else of the running embedded estate (`estate.env`), else None."""
    value = os.environ.get(name)
    return value if value else _estate_variables().get(name)


def require(name: str, needed_by: str) -> str:
    """As `variable`; raises ConfigurationError that says who needs it and how to get it."""
    value = variable(name)
    if value is None:
        raise ConfigurationError(
            f"{needed_by}: the environment variable {name} is not set. "
            "Set it to the connection string, or start the embedded estate with `sv estate up`."
        )
    return value


def resolve(text: str, needed_by: str) -> str:
    """`text` with every `{{ env.NAME }}` replaced; raises ConfigurationError where one is not set."""
    return _REFERENCE.sub(lambda match: require(match.group(1), needed_by), text)


def resolve_optional(text: str | None) -> str | None:
    """As `resolve`, but None where there is no text or one of its variables is not set."""
    if text is None or any(variable(name) is None for name in _REFERENCE.findall(text)):
        return None
    return resolve(text, "")


def masked(text: str) -> str:
    """`text` without the passwords of the URLs and connection strings in it, fit for a message or a log."""
    return _KEYWORD_SECRET.sub(r"\1\2***", _PASSWORD.sub(r"\1:***@", text))


def _estate_variables() -> dict[str, str]:
    path = local_dir() / "estate.env"
    try:
        now = path.stat()
        return _variables_in(path, (now.st_ino, now.st_mtime_ns, now.st_size))
    except OSError:
        return {}


@lru_cache(maxsize=4)
def _variables_in(path: Path, version: tuple[int, ...]) -> dict[str, str]:
    """What stands in the file. A look-up asks several times, so it is read once for each `version`."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
