"""The system that is looked at: what is declared of it, in which file, and how it is reached."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sv_assets.catalogue.load import read_sources
from sv_assets.catalogue.model import SqlServerSystemModel, System, TableEntry
from sv_assets.catalogue.source import Source
from sv_assets.errors import ConfigurationError
from sv_assets.settings import catalogue_dir
from sv_assets.sources.introspect.found import DatabaseFound

_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Target:
    """`system` connects as it is looked at now; `connection` is what its file says, or will say. `file` declares it."""

    system: SqlServerSystemModel
    connection: str
    file: Path

    def declared(self, found: DatabaseFound) -> Mapping[str, TableEntry]:
        """The declared tables, by the name that the database knows them by."""
        names = {entry.name: found.table(entry.name) for entry in self.system.tables}
        return {(table.full_name if (table := names[e.name]) else e.name): e for e in self.system.tables}


def target_of(
    name: str,
    connection: str | None = None,
    output: Path | None = None,
    owner: str | None = None,
    time_zone: str = "Europe/London",
) -> Target:
    """A declared system, or one that is to be declared, by the file that does or will.

    `connection`: a reference `{{ env.NAME }}`, the NAME alone, or a URL; for a new system the reference is written to
    its file, and a URL never is. Raises ConfigurationError for a name that cannot be a system's, or is a system of queues.
    """
    given = f"{{{{ env.{connection} }}}}" if connection and _VARIABLE.fullmatch(connection) else connection
    file = output or _file_of(name) or catalogue_dir() / name / "defs.yaml"
    here = [source for source in (read_sources(file) if file.exists() else ()) if source.system == name]
    known = here or [source for source in _all_sources() if source.system == name]
    if any(source.is_queue for source in known):
        raise ConfigurationError(f"{name} is declared as a system of queues. Give the database another name.")
    if known:
        model = known[0].sql_system
        looked_at = {"connection": given or model.connection, "replica": None, "tables": model.tables if here else []}
        return Target(model.model_copy(update=looked_at), model.connection, file)
    _check_name(name)
    written = given if given and "{{" in given else f"{{{{ env.{name.upper()}_SQLSERVER_URL }}}}"
    model = SqlServerSystemModel.model_construct(
        system=name,
        owners=[owner or f"team:{name}"],
        connection=given or written,
        max_connections=1,
        time_zone=time_zone,
        tables=[],
    )
    return Target(model, written, file)


def declared_systems() -> list[str]:
    """The SQL systems of the catalogue."""
    return sorted({source.system for source in _all_sources() if not source.is_queue})


def _all_sources() -> list[Source]:
    return [source for path in sorted(catalogue_dir().glob("*/defs.yaml")) for source in read_sources(path)]


def _file_of(name: str) -> Path | None:
    paths = sorted(catalogue_dir().glob("*/defs.yaml"))
    return next((path for path in paths if any(source.system == name for source in read_sources(path))), None)


def _check_name(name: str) -> None:
    try:
        System.model_validate({"system": name, "owners": ["team:any"]})
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name!r} cannot be the name of a system: {reason}.") from None
