"""What the retailer declares of its contact centre in `defs/contact_centre/settings.yaml`."""

import string
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from sv_assets.catalogue.entry import Duration, Entry, load_entry
from sv_assets.customers.contacts import flag_word
from sv_assets.mongo import content_hash

DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "contact_centre" / "settings.yaml"
CARD_VERSION = 3
"""Goes up with each change of what is made of the same customer; every card is then made again."""
CALL_VERSION = 2
"""Goes up with each change of how the same call is measured; all are then measured again."""
About = Literal["delivery", "issue", "order", "repeat"]
WORDS: dict[str, frozenset[str]] = {
    "delivery": frozenset({"order_number", "parcel", "status", "since"}),
    "issue": frozenset({"kind", "order_number", "status", "since"}),
    "order": frozenset({"order_number", "status", "delivery", "since"}),
    "repeat": frozenset({"kind", "reason", "count", "since"}),
}
"""By what a rule is about, the words that its sentence may use: `{order_number}`."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class ReasonRule(Entry):
    """Why a customer may call: an event that lies so far back, and what is said of it.

    `about` is `delivery` (a parcel under way), `issue` (anything else that is open, as a complaint), `order` (one of the latest),
    or `repeat` (`at_least` interactions about the same reason, each within `within` of the one before). `kind`, `status` and
    `delivery` are the words of the event, case aside, `unless_status` those that rule it out; `refunded` asks whether money
    went back, `parcels` whether a carrier knows of any. It counts from `after` the event on, for as long as it `lasts`.
    """

    name: Name
    about: About
    kind: list[str] = []
    status: list[str] = []
    unless_status: list[str] = []
    delivery: list[str] = []
    refunded: bool | None = None
    parcels: bool | None = None
    at_least: Annotated[int, Field(ge=2)] = 2
    within: Duration | None = None
    after: Duration | None = None
    lasts: Duration
    score: Annotated[int, Field(ge=1, le=100)]
    says: str

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        try:
            used = {name for _, name, _, _ in string.Formatter().parse(self.says) if name is not None}
        except ValueError as error:
            raise ValueError(f"{self.name}: its sentence cannot be read ({error})") from None
        if unknown := used - WORDS[self.about]:
            raise ValueError(
                f"{self.name}: {{{sorted(unknown)[0]}}} is no word of {self.about}; it has {', '.join(sorted(WORDS[self.about]))}"
            )
        try:
            self.says.format(**dict.fromkeys(WORDS[self.about], ""))
        except (ValueError, LookupError, AttributeError) as error:
            raise ValueError(
                f"{self.name}: its words are put in as they are ({error}); write {{since}}, without more in the braces"
            ) from None
        if self.after is not None and self.after >= self.lasts:
            raise ValueError(
                f"{self.name}: it would never hold; both count from the event, so `lasts` must be longer than `after`"
            )
        if (self.about == "repeat") != (self.within is not None):
            raise ValueError(f"{self.name}: `within` is for rules about `repeat`, which need it")
        if self.about != "order" and (
            self.delivery or any(asked is not None for asked in (self.refunded, self.parcels))
        ):
            raise ValueError(f"{self.name}: `refunded`, `parcels` and `delivery` are for rules about `order`")
        return self


class WarningRule(Entry):
    """What an agent is warned of: any of these flags, written in any way. Roles see it by its name (`warnings.<name>`)."""

    flags: Annotated[list[Annotated[str, AfterValidator(flag_word)]], Field(min_length=1)]
    says: str


class Measures(Entry):
    """How calls are measured. `found_at_most`: a look-up found the card where it found so many customers or fewer."""

    call_kinds: Annotated[list[str], Field(min_length=1)]
    repeat_within: Duration
    found_at_most: Annotated[int, Field(ge=1)]


class ContactCentreSettings(Entry):
    """All of it."""

    time_zone: str
    latest_orders: Annotated[int, Field(ge=1, le=20)]
    latest_contacts: Annotated[int, Field(ge=1, le=20)]
    reasons: list[ReasonRule]
    warnings: dict[Name, WarningRule]
    measures: Measures

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name} is no time zone; write it as Europe/London") from None
        return name

    @model_validator(mode="after")
    def _names_are_once(self) -> Self:
        names = [rule.name for rule in self.reasons]
        if doubled := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{sorted(doubled)[0]} names two reasons")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def card_rules(self) -> str:
        """Changes with whatever makes another card of the same customer."""
        declared = self.model_dump(mode="json", exclude={"measures"})
        return content_hash({"version": CARD_VERSION, **declared})[:12]

    @cached_property
    def call_rules(self) -> str:
        """Changes with whatever measures the same calls otherwise."""
        declared = self.measures.model_dump(mode="json")
        return content_hash({"version": CALL_VERSION, "zone": self.time_zone, **declared})[:12]


@lru_cache
def load_settings(path: Path = DEFAULT) -> ContactCentreSettings:
    """Read the settings. Raises ConfigurationError with file, place and allowed values."""
    return load_entry(ContactCentreSettings, path)
