"""Who reads, in which role, for what purpose."""

import getpass
from dataclasses import dataclass

from sv_assets import settings
from sv_assets.access.roles import load_roles


@dataclass(frozen=True)
class Actor:
    """Somebody who reads customer data. `reason` is a case or call number, never a name; `command` what it reads with."""

    name: str
    role: str
    purpose: str
    reason: str | None = None
    command: str | None = None


def actor_from_environment(
    role: str | None = None, purpose: str | None = None, reason: str | None = None, command: str | None = None
) -> Actor:
    """Who is at this machine: what is given, else `SV_ROLE`, `SV_PURPOSE`, `SV_REASON`, else the declared default.

    The name is `SV_ACTOR`, else that of the user. A role other than the default one must come with its purpose, unless it
    has only one.
    """
    roles = load_roles()
    named = role or settings.variable("SV_ROLE") or roles.default.role
    given = purpose or settings.variable("SV_PURPOSE")
    if given is None:
        purposes = roles.role(named).purposes
        given = roles.default.purpose if named == roles.default.role else purposes[0] if len(purposes) == 1 else ""
    return Actor(_name(), named, given, reason or settings.variable("SV_REASON"), command)


def _name() -> str:
    name = settings.variable("SV_ACTOR")
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"
