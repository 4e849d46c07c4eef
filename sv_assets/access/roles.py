"""The roles that the retailer declares in `defs/privacy/roles.yaml`: which collections, which fields, which purposes."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from sv_assets.access.fields import Fields, Treatment, expanded, flattened
from sv_assets.catalogue.entry import Duration, Entry, load_entry
from sv_assets.errors import ConfigurationError

DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "privacy" / "roles.yaml"
NOBODYS = frozenset({"control.customer_keys", "control.encryption_keys", "control.encryption_vault"})
ROLE_NAME = r"^[a-z][a-z0-9_]*$"


def _paths(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("give a list of paths")
    return [each for path in flattened(value) for each in expanded(str(path))]


Paths = Annotated[list[str], BeforeValidator(_paths)]


class Grant(Entry):
    """What a role sees of one collection: these fields as they are, those masked. All others it does not see.

    `hidden` takes out again what `*` or `**` let in. `purposes` narrows those of the role for this collection.
    """

    clear: Paths = []
    masked: Paths = []
    hidden: Paths = []
    purposes: list[str] | None = None

    @model_validator(mode="after")
    def _one_way_each(self) -> Self:
        lists = (self.clear, self.masked, self.hidden)
        doubled = {path for one in lists for path in one if sum(path in other for other in lists) > 1}
        if doubled:
            raise ValueError(f"{sorted(doubled)[0]} stands under more than one of clear, masked and hidden")
        return self

    @property
    def treatments(self) -> dict[str, Treatment]:
        ways: tuple[tuple[Treatment, list[str]], ...] = (
            ("clear", self.clear),
            ("masked", self.masked),
            ("hidden", self.hidden),
        )
        return {path: way for way, paths in ways for path in paths}


class Role(Entry):
    """Who does one kind of work. For purposes under `needs_reason` a read must say why, as a case or call number."""

    description: str
    purposes: Annotated[list[str], Field(min_length=1)]
    needs_reason: list[str] = []
    collections: dict[str, Grant]


class Default(Entry):
    """As whom somebody reads who does not say."""

    role: str
    purpose: str


class AccessLog(Entry):
    """How long is kept who read whom."""

    keep: Duration


class Roles(Entry):
    """All of it. `sets` holds lists of paths for YAML aliases; they count only where they are used."""

    sets: dict[str, Any] = {}
    access_log: AccessLog
    purposes: dict[str, str]
    default: Default
    roles: dict[Annotated[str, Field(pattern=ROLE_NAME)], Role]

    @model_validator(mode="after")
    def _known_words(self) -> Self:
        for name, role in self.roles.items():
            used = [*role.purposes, *(p for grant in role.collections.values() for p in grant.purposes or ())]
            for purpose in used:
                if purpose not in self.purposes:
                    raise ValueError(f"{name}: {purpose} is no declared purpose ({', '.join(self.purposes)})")
            for purpose in [*role.needs_reason, *(used[len(role.purposes) :])]:
                if purpose not in role.purposes:
                    raise ValueError(f"{name}: {purpose} is none of its purposes ({', '.join(role.purposes)})")
            for collection in role.collections:
                if collection.count(".") != 1:
                    raise ValueError(f"{name}: {collection} is no collection; write it as database.collection")
                if collection in NOBODYS:
                    raise ValueError(f"{name}: {collection} holds keys that fields are sealed with; no role reads it")
        default = self.roles.get(self.default.role)
        if default is None or self.default.purpose not in default.purposes:
            raise ValueError("default: name a role that is declared, and one of its purposes")
        return self

    def role(self, name: str) -> Role:
        """The role of this name. Raises ConfigurationError that lists those there are."""
        found = self.roles.get(name)
        if found is None:
            raise ConfigurationError(f"{name} is no role. The roles are: {', '.join(self.roles)} (`sv roles show`).")
        return found


def load_roles() -> Roles:
    """The declared roles: `SV_ROLES_FILE`, else the retailer's. Raises ConfigurationError with file and place."""
    return _load(_file())


def _file() -> Path:
    given = os.environ.get("SV_ROLES_FILE")
    return Path(given) if given else DEFAULT


@lru_cache
def _load(path: Path) -> Roles:
    return load_entry(Roles, path)


@lru_cache(maxsize=256)
def fields_of(path_and_role: tuple[Path, str, str]) -> Fields | None:
    """The compiled fields of a role in a collection; None where it has none there."""
    path, role, collection = path_and_role
    grant = _load(path).role(role).collections.get(collection)
    return None if grant is None else Fields(grant.treatments)


def fields_for(role: str, collection: str) -> Fields | None:
    """What a role sees of a collection; None where it sees nothing of it. Raises ConfigurationError for an unknown role."""
    return fields_of((_file(), role, collection))
