"""What the assets of the platform say of themselves; the catalogue alone knows nothing of stations, checks and consumers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OURS = ("legacy", "landing", "identity", "single_view")
"""What the keys of the platform's own assets begin with; everybody else is a consumer."""


@dataclass(frozen=True)
class CheckSaid:
    """A check: its name, and in a sentence what it holds. `blocking`: what depends on the asset waits while it fails."""

    name: str
    sentence: str
    blocking: bool = False


@dataclass(frozen=True)
class AssetSaid:
    """An asset. `columns` says of each of its columns which (asset key, column) it is made from."""

    key: str
    description: str = ""
    owners: tuple[str, ...] = ()
    group: str = ""
    kinds: tuple[str, ...] = ()
    uri: str = ""
    freshness: str = ""
    parents: tuple[str, ...] = ()
    columns: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    checks: tuple[CheckSaid, ...] = ()

    @property
    def is_consumer(self) -> bool:
        return self.key.split("/")[0] not in OURS
