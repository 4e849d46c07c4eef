"""How a customer is composed where sources differ: what the retailer declares in `defs/customers/settings.yaml`."""

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from sv_assets.catalogue.entry import Entry, load_entry
from sv_assets.customers.model import SCHEMA_VERSION
from sv_assets.mongo import content_hash

DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "customers" / "settings.yaml"
Criterion = Literal["rectified", "current", "completeness", "trust", "agreement", "recency"]
Criteria = Annotated[list[Criterion], Field(min_length=1)]


class Survivorship(Entry):
    """By field, the criteria that are asked in turn."""

    name: Criteria
    date_of_birth: Criteria
    email: Criteria
    phone: Criteria
    address: Criteria


class Over(Entry):
    """The words for what is over."""

    deliveries: list[str]
    interactions: list[str]


class CustomerSettings(Entry):
    """All of it."""

    trust: dict[str, Annotated[float, Field(ge=0)]] = {}
    survivorship: Survivorship
    over: Over

    def trust_in(self, system: str, source: str) -> float:
        """How far a source (`crm.customer`) of a system is believed."""
        return self.trust.get(source, self.trust.get(system, 1.0))

    @cached_property
    def delivered(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in self.over.deliveries)

    @cached_property
    def closed(self) -> frozenset[str]:
        return frozenset(word.casefold() for word in self.over.interactions)

    @property
    def rules(self) -> str:
        """Changes with whatever makes another document of the same data."""
        return content_hash({"schema_version": SCHEMA_VERSION, **self.model_dump()})[:12]


@lru_cache
def load_settings(path: Path = DEFAULT) -> CustomerSettings:
    """Read the settings. Raises ConfigurationError with file, place and allowed values."""
    return load_entry(CustomerSettings, path)
