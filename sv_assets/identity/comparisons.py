"""How two records are compared: for each kind of evidence the levels of agreement, from the closest to none.

A level is a condition over the compared forms `l` and `r`, the same when they change places. Conditions are written once and rendered for the SQL dialect
of the engine. Each comes with what is believed of it before any data is seen: how often it holds between two records of
one person (`same`), of two strangers (`chance`) and, for what the people of a household share, of two of them (`household`).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sv_assets.errors import ConfigurationError

NULL = "null"
ELSE = "else"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The few functions that DuckDB and Spark name differently."""

    name: str
    overlap: str
    jaro_winkler: str
    edits: str
    first: str

    def render(self, condition: str) -> str:
        """The condition with `{overlap}`, `{jaro_winkler}`, `{edits}` and `{first}` (the suffix for the first of a list) filled in."""
        return condition.format(
            overlap=self.overlap, jaro_winkler=self.jaro_winkler, edits=self.edits, first=self.first
        )


DUCKDB = Dialect("duckdb", "list_has_any", "jaro_winkler_similarity", "damerau_levenshtein", "[1]")
SPARK = Dialect("spark", "arrays_overlap", "jaro_winkler", "damerau_levenshtein", "[0]")
DIALECTS = {dialect.name: dialect for dialect in (DUCKDB, SPARK)}


@dataclass(frozen=True, slots=True)
class Level:
    """One degree of agreement."""

    name: str
    condition: str
    same: float = 0.0
    chance: float = 0.0
    household: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of evidence.

    `shared`: the people of a household have it in common. `frequency`: the column whose frequent values say less; with
    `outliers` only those that are far more frequent than most, which somebody put in for want of a better one.
    `counted`: for levels that are the equality of a value, the SQL of that value, so that chance agreement is counted
    instead of sampled.
    """

    name: str
    levels: tuple[Level, ...]
    columns: tuple[str, ...]
    shared: bool = False
    frequency: str | None = None
    outliers: bool = False
    counted: tuple[tuple[str, str], ...] = ()

    @property
    def observed(self) -> tuple[Level, ...]:
        """The levels other than "nothing to compare"."""
        return self.levels[1:]


_FIRST_OF_JANUARY = "(substr(born_l, 5, 6) = '-01-01' or substr(born_r, 5, 6) = '-01-01')"
_SWAPPED_DAY = (
    "(substr(born_l, 1, 4) = substr(born_r, 1, 4) and substr(born_l, 6, 2) = substr(born_r, 9, 2)"
    " and substr(born_l, 9, 2) = substr(born_r, 6, 2))"
)
_TWO_OF_THREE = (
    "((case when substr(born_l, 1, 4) = substr(born_r, 1, 4) then 1 else 0 end)"
    " + (case when substr(born_l, 6, 2) = substr(born_r, 6, 2) then 1 else 0 end)"
    " + (case when substr(born_l, 9, 2) = substr(born_r, 9, 2) then 1 else 0 end)) >= 2"
)


def _only_if(cheap: str, dear: str) -> str:
    """Both conditions, the dear one looked at where the cheap one holds.

    An engine may evaluate the parts of `and` in any order: DuckDB does, and counts the edits of two e-mails in 15 µs.
    """
    return f"(case when {cheap} then {dear} else false end)"


def _one_edit(a: str, b: str) -> str:
    """At most one edit between two texts. Then their first halves are equal or their second ones, but for two letters."""
    half = f"greatest(cast(floor((length({a}) - 2) / 2) as int), 0)"
    halves = f"left({a}, {half}) = left({b}, {half}) or right({a}, {half}) = right({b}, {half})"
    return _only_if(f"abs(length({a}) - length({b})) <= 1 and ({halves})", f"{{edits}}({a}, {b}) <= 1")


_CROSSED = "last_l <> last_r and (first_l = last_r or last_l = first_r)"
_SWAPPED = _only_if(
    _CROSSED,
    "(first_l = last_r and (last_l = first_r or {jaro_winkler}(last_l, first_r) >= 0.85))"
    " or (last_l = first_r and {jaro_winkler}(first_l, last_r) >= 0.85)",
)
_CLOSE_FIRST_NAME = (
    "case when {jaro_winkler}(first_l, first_r) >= 0.92 then true"
    f" when least(length(first_l), length(first_r)) > 3 then {_one_edit('first_l', 'first_r')}"
    " else length(first_l) = 3 and length(first_r) = 3 and substr(first_l, 1, 1) = substr(first_r, 1, 1)"
    " and substr(first_l, 2, 1) = substr(first_r, 3, 1) and substr(first_l, 3, 1) = substr(first_r, 2, 1) end"
)
_ONE_PART = (
    "(substr(born_l, 1, 4) = substr(born_r, 1, 4) or substr(born_l, 6, 2) = substr(born_r, 6, 2)"
    " or substr(born_l, 9, 2) = substr(born_r, 9, 2))"
)

FIRST_NAME = Comparison(
    "first_name",
    (
        Level(NULL, "first_l is null or first_r is null"),
        Level("exact", "first_l = first_r", 0.80, 0.005),
        Level("nickname", "{overlap}(nicknames_l, nicknames_r)", 0.03, 0.0006),
        Level("swapped", _SWAPPED, 0.005, 1e-6),
        Level(
            "close",
            _CLOSE_FIRST_NAME,
            0.08,
            0.001,
        ),
        Level(
            "initial",
            "(length(first_l) = 1 or length(first_r) = 1) and substr(first_l, 1, 1) = substr(first_r, 1, 1)",
            0.03,
            0.004,
        ),
        Level("another_given", "{overlap}(given_or_others_l, given_or_others_r)", 0.005, 0.0001),
        Level(
            "near",
            "{jaro_winkler}(first_l, first_r) >= 0.8 or first_l like (first_r || '%') or first_r like (first_l || '%')",
            0.015,
            0.005,
        ),
        Level("crossed", _CROSSED, 0.002, 0.0002),
        Level(ELSE, "", 0.033, 0.9838),
    ),
    ("first", "last", "nicknames", "given_or_others"),
    frequency="first",
    counted=(("exact", "first"),),
)
SURNAME = Comparison(
    "surname",
    (
        Level(
            NULL, "last_l is null or last_r is null or (first_l <> first_r and last_l <> last_r and " + _SWAPPED + ")"
        ),
        Level("exact", "last_l = last_r", 0.88, 0.006, 0.72),
        Level("part", "{overlap}(surnames_l, surnames_r)", 0.01, 0.0006, 0.01),
        Level(
            "close",
            "case when {jaro_winkler}(last_l, last_r) >= 0.92 then true"
            f" when least(length(last_l), length(last_r)) > 3 then {_one_edit('last_l', 'last_r')} else false end",
            0.06,
            0.001,
            0.03,
        ),
        Level("near", "{jaro_winkler}(last_l, last_r) >= 0.8", 0.01, 0.0025, 0.01),
        Level(ELSE, "", 0.04, 0.99, 0.23),
    ),
    ("first", "last", "surnames"),
    shared=True,
    frequency="last",
    counted=(("exact", "last"),),
)
TITLE = Comparison(
    "title",
    (
        Level(NULL, "gender_l is null or gender_r is null"),
        Level("same", "gender_l = gender_r", 0.98, 0.5),
        Level(ELSE, "", 0.02, 0.5),
    ),
    ("gender",),
)
BIRTH_DATE = Comparison(
    "birth_date",
    (
        Level(NULL, "born_l is null or born_r is null or (born_l <> born_r and " + _FIRST_OF_JANUARY + ")"),
        Level("exact", "born_l = born_r", 0.93, 5e-5),
        Level("close", _only_if(_TWO_OF_THREE, "{edits}(born_l, born_r) <= 1") + " or " + _SWAPPED_DAY, 0.03, 0.001),
        Level("two_parts", _TWO_OF_THREE, 0.01, 0.003),
        Level("near", _only_if(_ONE_PART, "{edits}(born_l, born_r) <= 2"), 0.005, 0.013),
        Level(ELSE, "", 0.025, 0.983),
    ),
    ("born",),
    frequency="born",
    outliers=True,
    counted=(("exact", "born"),),
)
EMAIL = Comparison(
    "email",
    (
        Level(NULL, "emails_l is null or emails_r is null"),
        Level("exact", "{overlap}(emails_l, emails_r)", 0.85, 1e-6, 0.06),
        Level("folded", "{overlap}(folded_l, folded_r)", 0.002, 1e-7, 0.001),
        Level(
            "close",
            _only_if(
                "{jaro_winkler}(emails_l{first}, emails_r{first}) >= 0.96",
                _one_edit("emails_l{first}", "emails_r{first}"),
            ),
            0.03,
            2e-6,
            0.001,
        ),
        Level(ELSE, "", 0.118, 0.999, 0.938),
    ),
    ("emails", "folded"),
    shared=True,
    counted=(("exact", "unnest(emails)"),),
)
MOBILE = Comparison(
    "mobile",
    (
        Level(NULL, "mobiles_l is null or mobiles_r is null"),
        Level("exact", "{overlap}(mobiles_l, mobiles_r)", 0.88, 1e-6, 0.01),
        Level("close", _one_edit("mobiles_l{first}", "mobiles_r{first}"), 0.02, 2e-5, 0.002),
        Level(ELSE, "", 0.10, 0.999, 0.988),
    ),
    ("mobiles",),
    shared=True,
    counted=(("exact", "unnest(mobiles)"),),
)
LANDLINE = Comparison(
    "landline",
    (
        Level(NULL, "lines_l is null or lines_r is null"),
        Level("exact", "{overlap}(lines_l, lines_r)", 0.90, 1e-5, 0.90),
        Level("close", _one_edit("lines_l{first}", "lines_r{first}"), 0.02, 2e-5, 0.001),
        Level(ELSE, "", 0.08, 0.999, 0.099),
    ),
    ("lines",),
    shared=True,
    counted=(("exact", "unnest(lines)"),),
)
ADDRESS = Comparison(
    "address",
    (
        Level(NULL, "text_l is null or text_r is null"),
        Level("exact", "{overlap}(places_l, places_r)", 0.79, 5e-6, 0.85),
        Level("street_close", "house_l = house_r and {jaro_winkler}(street_l, street_r) >= 0.88", 0.08, 1e-5, 0.01),
        Level("house_and_part", _only_if("house_l = house_r", "{overlap}(streets_l, streets_r)"), 0.01, 2e-5, 0.01),
        Level("street", "street_l = street_r", 0.03, 0.001, 0.05),
        Level("text_close", "{jaro_winkler}(text_l, text_r) >= 0.88", 0.02, 0.0005, 0.01),
        Level("part", "{overlap}(streets_l, streets_r)", 0.01, 0.001, 0.01),
        Level("street_near", "{jaro_winkler}(street_l, street_r) >= 0.88", 0.01, 0.003, 0.005),
        Level("house", "house_l = house_r", 0.01, 0.01, 0.01),
        Level(ELSE, "", 0.04, 0.984, 0.045),
    ),
    ("text", "places", "house", "street", "streets"),
    shared=True,
    counted=(("exact", "unnest(places)"),),
)
_CALLED_FROM = (
    "((town_l is null and {overlap}(exchanges_l, towns_r)) or (town_r is null and {overlap}(exchanges_r, towns_l)))"
)
_EXCHANGE_TELLS = (
    "((town_l is null and exchanges_l is not null and towns_r is not null)"
    " or (town_r is null and exchanges_r is not null and towns_l is not null))"
)
PLACE = Comparison(
    "place",
    (
        Level(
            NULL,
            "(postcode_l is null or postcode_r is null) and (town_l is null or town_r is null) and not "
            + _EXCHANGE_TELLS,
        ),
        Level(
            "exact", _only_if("{overlap}(postcodes_l, postcodes_r)", "{overlap}(towns_l, towns_r)"), 0.835, 1e-5, 0.935
        ),
        Level("postcode", "{overlap}(postcodes_l, postcodes_r)", 0.03, 1e-5, 0.01),
        Level(
            "postcode_typo",
            _only_if("{jaro_winkler}(town_l, town_r) >= 0.85", _one_edit("postcode_l", "postcode_r")),
            0.03,
            1e-5,
            0.01,
        ),
        Level("town", "{overlap}(towns_l, towns_r)", 0.04, 0.01, 0.01),
        Level("town_close", "{jaro_winkler}(town_l, town_r) >= 0.88", 0.01, 0.001, 0.005),
        Level("postcode_close", _one_edit("postcode_l", "postcode_r"), 0.01, 0.001, 0.005),
        Level("exchange", _CALLED_FROM, 0.01, 0.005, 0.01),
        Level("exchange_elsewhere", _EXCHANGE_TELLS, 0.005, 0.1, 0.005),
        Level(ELSE, "", 0.03, 0.883, 0.01),
    ),
    ("postcode", "postcodes", "town", "towns", "exchanges"),
    shared=True,
    counted=(("exact", "postcode || '|' || town"),),
)
COUNTY = Comparison(
    "county",
    (
        Level(
            NULL,
            "county_l is null or county_r is null or (county_l = county_r and coalesce({overlap}(towns_l, towns_r), false))",
        ),
        Level("same", "county_l = county_r", 0.90, 0.1, 0.95),
        Level(ELSE, "", 0.10, 0.9, 0.05),
    ),
    ("county", "towns"),
    shared=True,
)
"""Only where the towns differ: those that agree are in one county."""
STANDARD = (FIRST_NAME, SURNAME, TITLE, BIRTH_DATE, EMAIL, MOBILE, LANDLINE, ADDRESS, PLACE, COUNTY)


def identifier(name: str) -> Comparison:
    """The comparison of a strong identifier, whose column is `id_<name>`: a list."""
    column = f"id_{name}"
    first_l, first_r = f"{column}_l{{first}}", f"{column}_r{{first}}"
    return Comparison(
        column,
        (
            Level(NULL, f"{column}_l is null or {column}_r is null"),
            Level("exact", f"{{overlap}}({column}_l, {column}_r)", 0.92, 1e-7),
            Level("close", _one_edit(first_l, first_r), 0.04, 1e-5),
            Level(
                "near",
                _only_if(f"least(length({first_l}), length({first_r})) > 5", f"{{edits}}({first_l}, {first_r}) <= 2"),
                0.005,
                2e-4,
            ),
            Level(ELSE, "", 0.035, 0.999),
        ),
        (column,),
        counted=(("exact", f"unnest({column})"),),
    )


LEVELS = {
    comparison.name: [level.name for level in comparison.observed] for comparison in (*STANDARD, identifier("any"))
}
"""By comparison, the levels that a rule can name; `id_any` stands for every identifier."""


def comparisons(identifiers: Iterable[str]) -> tuple[Comparison, ...]:
    """All comparisons, with those of the given strong identifiers. Raises ConfigurationError for a name that is no word."""
    names = sorted(identifiers)
    for name in names:
        if not name.replace("_", "").isalnum() or not name.isascii():
            raise ConfigurationError(f"The identifier {name!r} needs a name of letters, digits and underscores.")
    return (*STANDARD, *(identifier(name) for name in names))
