"""Blocking: which pairs of records are compared at all.

Comparing each with each is out of the question, so two records are compared if they share a *key*: they agree in all
parts of one of the declared rules. A key that more different records share than the rule allows is left out, in a full
run and in an incremental one alike, since it depends on nothing but who has the key now.
"""

from collections.abc import Iterable, Mapping
from itertools import product

from sv_assets.identity.settings import BlockingRule, IdentitySettings, Part
from sv_assets.mongo import Document

SAME_FORM = 20
"""A block may hold so many times more records than different ones: those that say the very same are linked without it."""


def keys_of(form: Document, settings: IdentitySettings) -> list[str]:
    """The keys of a record, by its compared form: `<number of the rule>:<agreed parts>`, sorted."""
    parts = parts_of(form)
    keys: set[str] = set()
    for number, rule in enumerate(settings.blocking):
        values = [parts.get(part, ()) for part in rule.same]
        if all(values):
            keys.update(f"{number}:{'|'.join(combination)}" for combination in product(*values))
    return sorted(keys)


def rule_of(key: str, settings: IdentitySettings) -> BlockingRule:
    """The rule that a key comes from."""
    return settings.blocking[int(key.partition(":")[0])]


def parts_of(form: Document) -> Mapping[Part, Iterable[str]]:
    """By part, the values of it that a record has.

    | part               | for Jane Smith-Jones, 7 March 1980, 12a High Street, York YO1 7HH  |
    |--------------------|---------------------------------------------------------------------|
    | full_name          | `jane smithjones`, its two words sorted, so that swapped names agree|
    | nickname           | `jane`, `janet` …: the formal names that the first name stands for  |
    | surname, first_name| `smithjones`, `smith`, `jones`; `jane`                              |
    | any_name           | all of those: names in the wrong field agree                        |
    | initial, initials  | `j`, `s`; `js`, sorted                                              |
    | beginning          | `jan`, `smi`                                                        |
    | birth_month …      | `1980-03`; birthday `03-07`; birth_year_and_day `1980-07`           |
    | house_number       | `12a`; street `high st`; number_and_street `12a high st`            |
    """
    first, last, born = form.get("first"), form.get("last"), form.get("born")
    given, surnames = form.get("given", ()), form.get("surnames", ())
    names = [name for name in (first, last) if name]
    parts: dict[Part, Iterable[str]] = {
        "email": form.get("emails", ()),
        "phone": (*form.get("mobiles", ()), *form.get("lines", ())),
        "identifier": [f"{name}={value}" for name, values in form.get("ids", {}).items() for value in values],
        "nickname": form.get("nicknames", ()),
        "first_name": given,
        "surname": surnames,
        "any_name": {*given, *surnames},
        "beginning": {name[:3] for name in names},
        "initial": {name[0] for name in names},
        "postcode": form.get("postcodes", ()),
        "number_and_street": form.get("places", ()),
        "town": form.get("towns", ()),
    }
    if len(names) == 2:
        parts["full_name"] = [" ".join(sorted(names))]
        parts["initials"] = ["".join(sorted(name[0] for name in names))]
    if born:
        year, month, day = born.split("-")
        parts["birth_date"] = [born]
        parts["birth_month"] = [f"{year}-{month}"]
        parts["birthday"] = [f"{month}-{day}"]
        parts["birth_year_and_day"] = [f"{year}-{day}"]
    for part, field in (("street", "street"), ("house_number", "house")):
        if form.get(field):
            parts[part] = [form[field]]  # type: ignore[index]
    return parts
