"""How records are found to be one person: what the retailer declares in `defs/identity/settings.yaml`.

Weights are in bits: log2 of how much likelier a pair's agreement is between records of one person than of two.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from sv_assets.catalogue.entry import Entry, load_entry
from sv_assets.errors import ConfigurationError
from sv_assets.identity.compared import FORM
from sv_assets.identity.normalise import Placeholders
from sv_assets.mongo import content_hash

DEFAULT = Path(__file__).resolve().parents[1] / "defs" / "identity" / "settings.yaml"
Part = Literal[
    "email",
    "phone",
    "identifier",
    "full_name",
    "nickname",
    "first_name",
    "surname",
    "any_name",
    "beginning",
    "initial",
    "initials",
    "birth_date",
    "birth_month",
    "birthday",
    "birth_year_and_day",
    "postcode",
    "number_and_street",
    "street",
    "house_number",
    "town",
]
"""What a blocking rule can ask two records to agree in; see `blocking.parts_of`."""


class BlockingRule(Entry):
    """Records that agree in all parts of `same` are compared, unless more than `at_most` different ones do."""

    same: Annotated[list[Part], Field(min_length=1)]
    at_most: Annotated[int, Field(ge=2, le=1000)]

    @property
    def name(self) -> str:
        return " + ".join(self.same)


class Rule(Entry):
    """A deterministic rule: a pair that agrees on one of the levels in every comparison is linked."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    strength: Annotated[float, Field(gt=0)]
    agree: Annotated[dict[str, list[str]], Field(min_length=1)]


class Guards(Entry):
    """What keeps two people out of one cluster."""

    fan_out: Annotated[int, Field(ge=1)] = 6
    conflicts: list[Literal["first_name", "title", "birth_date"]] = ["first_name", "title", "birth_date"]
    bridge: Annotated[int, Field(ge=2)] = 4
    cluster_size: Annotated[int, Field(ge=2)] = 200
    density: Annotated[float, Field(ge=0, le=1)] = 0.1


class ModelSettings(Entry):
    """How the model is trained, and which one is used."""

    version: str = "latest"
    seed: int = 20260101
    random_pairs: Annotated[int, Field(ge=1000)] = 400_000
    records: Annotated[int, Field(ge=1000)] = 150_000
    train_from: Annotated[int, Field(ge=0)] = 1000


class Engine(Entry):
    """Where pairs are scored. `memory` is DuckDB's; what it needs more goes to a temporary folder."""

    backend: Literal["duckdb", "spark"] = "duckdb"
    memory: Annotated[str, Field(pattern=r"^\d+ ?(MB|GB|MiB|GiB)$")] = "2GB"
    threads: Annotated[int, Field(ge=1)] = 2


class IdentitySettings(Entry):
    """All of it."""

    threshold: float = 0.5
    household_caution: Annotated[float, Field(ge=0)] = 3
    name_alone: float = 4
    quoted_order: Annotated[float, Field(gt=0)] = 15
    strong: float = 8
    margin: Annotated[float, Field(ge=0)] = 3
    blocking: Annotated[list[BlockingRule], Field(min_length=1)]
    rules: list[Rule] = []
    guards: Guards = Guards()
    model: ModelSettings = ModelSettings()
    engine: Engine = Engine()
    placeholders: dict[str, Any] = {}

    @field_validator("placeholders")
    @classmethod
    def _known_placeholders(cls, declared: dict[str, Any]) -> dict[str, Any]:
        try:
            Placeholders.from_dict(declared)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return declared

    @model_validator(mode="after")
    def _contacts_are_blocked(self) -> "IdentitySettings":
        for part in ("email", "phone", "identifier"):
            if not any(rule.same == [part] for rule in self.blocking):
                raise ValueError(
                    f"blocking needs a line {{same: [{part}], at_most: …}}: it is also what fan-out is judged by"
                )
        return self

    @model_validator(mode="after")
    def _levels_are_known(self) -> "IdentitySettings":
        from sv_assets.identity.comparisons import LEVELS

        for rule in self.rules:
            for comparison, levels in rule.agree.items():
                known = LEVELS.get(comparison)
                if known is None:
                    raise ValueError(
                        f"rule {rule.name}: there is no comparison {comparison}; known are {', '.join(LEVELS)}"
                    )
                for level in levels:
                    if level not in known:
                        raise ValueError(
                            f"rule {rule.name}: {comparison} has no level {level}; known are {', '.join(known)}"
                        )
        if len({rule.name for rule in self.rules}) < len(self.rules):
            raise ValueError("two rules have the same name")
        return self

    @cached_property
    def values_of_nobody(self) -> Placeholders:
        """The declared placeholders, in compared form."""
        return Placeholders.from_dict(self.placeholders)

    @property
    def normalisation(self) -> str:
        """Changes with whatever makes the compared form and the keys of a record: then all records are made anew."""
        return content_hash(
            {
                "form": FORM,
                "blocking": [rule.model_dump() for rule in self.blocking],
                "placeholders": self.placeholders,
            }
        )


def load_settings(path: Path | None = None) -> IdentitySettings:
    """Read the settings; `None` means the retailer's. Raises ConfigurationError with file, place and allowed values."""
    return load_entry(IdentitySettings, path or DEFAULT)
