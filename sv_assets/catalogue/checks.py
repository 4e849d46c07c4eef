"""What an analyst expects of a table or queue: further checks beside it, and the limits of those that every source has.

A *path* is a column (`Email`) or a path into a message (`$.account.email`).
"""

import datetime as dt
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sv_assets.catalogue.entry import Duration, Entry, FieldPath, as_list

Paths = Annotated[list[FieldPath], BeforeValidator(as_list, json_schema_input_type=FieldPath | list[FieldPath])]
Share = Annotated[float, Field(ge=0, le=1)]
Bound = int | float | dt.date | dt.datetime
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_SCHEMA = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
_WRITING = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|exec|execute|grant|revoke|into)\b|;\s*\S", re.I
)
GENERATED = (
    "arrives_in_time",
    "bookmark_keeps_up",
    "capture_sees_every_change",
    "content_matches_source",
    "dead_letters_empty",
    "deletes_believed",
    "distribution_steady",
    "far_from_dead_letters",
    "fresh",
    "keys_unique_and_present",
    "no_doubled_rows",
    "no_undeclared_personal_data",
    "quarantine_empty",
    "queue_drained",
    "references_resolve",
    "row_count_matches_source",
    "schema_as_declared",
    "source_keys_unique",
    "types_as_declared",
    "volume_as_usual",
)
"""The names of the checks that sources have without declaring them."""
Kind = Literal["email", "phone", "postcode", "national_insurance", "card", "iban"]
"""The kinds of personal data that are told by their form."""


_OFF = BeforeValidator(lambda value: "off" if value is False else value)
"""YAML reads `off` as false, unless it stands in quotes."""


class DeclaredCheck(Entry):
    """What all declared checks share.

    `name`: how it is called in the UI; by default what it is and of which columns. `where`: which landed rows it is
    about, as a MongoDB filter. `blocking`: nothing downstream is made while it fails; it then runs right after each
    landing, and its severity is error. Others run with the audit of the source.
    """

    check: str
    name: str | None = None
    description: str | None = None
    severity: Literal["warn", "error"] = "warn"
    blocking: bool = False
    where: dict[str, Any] = {}
    reads_source: ClassVar[bool] = False

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not _NAME.match(value):
            raise ValueError("a check is named in lower-case letters, digits and _, starting with a letter")
        if value in GENERATED:
            raise ValueError(f"{value} is a check that every source has by itself; choose another name")
        return value

    @property
    def subject(self) -> list[str]:
        """The paths that it is about."""
        paths = getattr(self, "columns", None) or [getattr(self, "column", None)]
        return [path for path in paths if path]

    @property
    def title(self) -> str:
        """Its name in the UI: the declared one, else `not_null_email`."""
        words = [self.check, *(re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_") for path in self.subject)]
        return self.name or "_".join(words)


class Unique(DeclaredCheck):
    """No two live rows have the same values in these columns; rows without any are left out."""

    check: Literal["unique"]
    columns: Paths = Field(min_length=1)


class NotNull(DeclaredCheck):
    """At least this share of the rows has a value in each of these columns. Empty text is none."""

    check: Literal["not_null"]
    columns: Paths = Field(min_length=1)
    at_least: Share = 1.0


class AcceptedValues(DeclaredCheck):
    """The column holds these values, or nothing."""

    check: Literal["accepted_values"]
    column: FieldPath
    values: list[str | bool | int | float] = Field(min_length=1)
    at_least: Share = 1.0


class Range(DeclaredCheck):
    """Numbers or dates of the column are within these bounds, ends included."""

    check: Literal["range"]
    column: FieldPath
    min: Bound | None = None
    max: Bound | None = None
    at_least: Share = 1.0

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a range has a `min`, a `max`, or both")
        return self


class Matches(DeclaredCheck):
    """Texts of the column match this regular expression, from beginning to end."""

    check: Literal["matches"]
    column: FieldPath
    pattern: str
    at_least: Share = 1.0

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"this is not a regular expression: {error}") from None
        return value


class References(DeclaredCheck):
    """Values of the column are found in `to_column` of a landed table or queue (its key, if not given)."""

    check: Literal["references"]
    column: FieldPath
    table: str
    system: str | None = None
    to_column: FieldPath | None = None
    at_least: Share = 1.0


class RowCount(DeclaredCheck):
    """As many live rows have landed."""

    check: Literal["row_count"]
    min: int | None = Field(default=None, ge=0)
    max: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a row count has a `min`, a `max`, or both")
        return self


class Distribution(DeclaredCheck):
    """The values of the column are distributed as before: see `distribution_steady`, which looks at them too."""

    check: Literal["distribution"]
    columns: Paths = Field(min_length=1)

    @model_validator(mode="after")
    def _not_blocking(self) -> Self:
        if self.blocking or self.where:
            raise ValueError(
                "a distribution is looked at by the audit, over all rows; it has no `blocking` and no `where`"
            )
        return self


class Mongo(DeclaredCheck):
    """No landed row fulfils this MongoDB filter (with `$expr` for expressions), but for `at_most` of them."""

    check: Literal["mongo"]
    name: str
    violating: dict[str, Any] = Field(min_length=1)
    at_most: int = Field(default=0, ge=0)

    @field_validator("violating")
    @classmethod
    def _reads_only(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "$where" in value or "$function" in str(value):
            raise ValueError("`$where` and `$function` run code in the database; say it with `$expr`")
        return value


class Sql(DeclaredCheck):
    """This SELECT finds no violating row in the legacy database, but for `at_most`; not more than `stop_after` are read."""

    check: Literal["sql"]
    name: str
    query: str
    at_most: int = Field(default=0, ge=0)
    stop_after: int = Field(default=1000, ge=1, le=100_000)
    reads_source: ClassVar[bool] = True

    @field_validator("query")
    @classmethod
    def _only_selects(cls, value: str) -> str:
        text = value.strip().rstrip(";")
        if not re.match(r"(select|with)\b", text, re.I) or _WRITING.search(text):
            raise ValueError("a query is one SELECT of the violating rows, and writes nothing")
        return text

    @model_validator(mode="after")
    def _not_blocking(self) -> Self:
        if self.blocking:
            raise ValueError("a check by SQL reads the source and so runs with the audit; it cannot be `blocking`")
        return self


class Pandera(DeclaredCheck):
    """Landed rows fulfil a pandera schema (`package.module:Schema`), as frames of at most `rows` rows."""

    check: Literal["pandera"]
    name: str
    model: str
    rows: int = Field(default=10_000, ge=1, le=1_000_000)

    @field_validator("model")
    @classmethod
    def _importable(cls, value: str) -> str:
        if not _SCHEMA.match(value):
            raise ValueError("a pandera schema is named `package.module:Schema`")
        return value


AnyCheck = Annotated[
    Unique | NotNull | AcceptedValues | Range | Matches | References | RowCount | Distribution | Mongo | Sql | Pandera,
    Field(discriminator="check"),
]


class Expectations(Entry):
    """The limits of the checks that every source has. All may be left out.

    - `happened_at`: the path that says when a row happened, once and for all. By default what partitions and feeds say.
    - `freshness`: how old the newest row may be; `usual`: as its own history says; `off`: whatever.
    - `volume`: `usual`: complete days are held against the same weekdays before; `off`.
    - `late_after`: a row that comes so long after its day is late.
    - `unread_for`: how long the source may go without being looked at.
    - `in_quarantine`: how many rows or messages may wait there.
    - `orphans`: which share of the rows may refer to something that has not landed; `way`: for how long such a row may
      still be on its way.
    - `doubled`: how many rows may be copies of others under new keys; `off`.
    - `may_hold`: by path, which kinds of personal data are known to stand in it.
    - `audit_rows`: how many rows one audit reads at most, of the source and of what has landed of it; it goes on from
      there the next time.
    """

    happened_at: FieldPath | None = None
    freshness: Annotated[Literal["usual", "off"] | Duration, _OFF] = "usual"
    volume: Annotated[Literal["usual", "off"], _OFF] = "usual"
    late_after: Duration = dt.timedelta(days=3)
    unread_for: Duration = dt.timedelta(days=1)
    in_quarantine: int = Field(default=0, ge=0)
    orphans: Share = 0.0
    way: Duration = dt.timedelta(hours=1)
    doubled: Annotated[Literal["off"] | Annotated[int, Field(ge=0)], _OFF] = 0
    may_hold: dict[FieldPath, list[Kind]] = {}
    audit_rows: int = Field(default=50_000, ge=100)


def repeated_title(checks: list[Any]) -> str | None:
    """The first name that two declared checks share."""
    titles = [check.title for check in checks]
    return next((title for n, title in enumerate(titles) if title in titles[:n]), None)
