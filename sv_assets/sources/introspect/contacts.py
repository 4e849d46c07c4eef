"""Tables of what passed between a person and the company: calls, complaints, permissions."""

from typing import Any

from sv_assets.sources.introspect.candidates import Candidate, Score
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.people import person_reference
from sv_assets.sources.introspect.references import Referring
from sv_assets.sources.introspect.trade import named
from sv_assets.sources.introspect.words import is_date, is_number, is_text, table_words, word_set, words
from sv_assets.sources.types import Column

_KINDS = {
    "call": "call", "complaint": "complaint", "ticket": "ticket", "case": "case", "enquiry": "enquiry", "inquiry": "enquiry",
    "interaction": "interaction", "visit": "visit", "chat": "chat", "appointment": "appointment", "feedback": "feedback",
}  # fmt: skip
_CONSENT = word_set("consent preference permission optin optout subscription")
_GRANTED = word_set(
    "optedin optin granted consent consented consentgiven subscribed allowed permitted isallowed issubscribed hasconsent"
)  # fmt: skip


def interaction(
    table: TableFound, person: Referring | None, is_party: bool, order: Referring | None
) -> Candidate | None:
    """Each row is a contact with a person, who stands in another table or in the row itself."""
    kind = kind_of_contact(table)
    if kind is None or {"type", "status", "line", "reason", "category"} & set(table_words(table)):
        return None
    score = Score()
    score.add(0.4, "its name")
    at = named(
        table,
        is_date,
        "startedat openedat startdate opened started occurredat calldate date createdat created createddate",
    )
    if at:
        score.add(0.2, "a date")
    else:
        score.missing.append("a column that says when it was")
    party: Any = person_reference(person)
    if person is not None:
        score.add(person.weight, person.because)
        party = {**party, "otherwise": "self"} if is_party else party
    elif is_party:
        score.add(0.25, "the person stands in the row itself")
        party = "self"
    else:
        score.missing.append("the column that says with whom")
    return score.candidate(
        "interaction",
        {
            "kind": {"const": kind},
            "at": at,
            "party": party,
            "reason": named(table, is_text, "reason category subject topic"),
            "status": named(table, is_text, "status state"),
            "closed_at": named(table, is_date, "closedat closed enddate endedat resolvedat closeddate"),
            "duration_seconds": named(table, is_number, "durationseconds durationsecs"),
            "order": None if order is None else {"id": order.column},
        },
    )


def kind_of_contact(table: TableFound) -> str | None:
    """`call`, `complaint` …, by the table's name."""
    return next((_KINDS[word] for word in table_words(table) if word in _KINDS), None)


def consent(table: TableFound, person: Referring | None) -> Candidate | None:
    """Each row says whether a person may be contacted for a purpose over a channel."""
    said = words(table.name)
    if not _CONSENT & (set(table_words(table)) | {"".join(said)}):
        return None
    score = Score()
    score.add(0.25, "its name")
    if person is None:
        score.missing.append("the column that says whose it is")
    else:
        score.add(person.weight, person.because)
    granted = named(table, _is_yes_or_no, " ".join(sorted(_GRANTED)))
    if granted:
        score.add(0.15, "whether it was granted")
    else:
        score.missing.append("a column that says whether it was granted")
    columns = {}
    for field, names in (("purpose", "purpose consenttype topic reason"), ("channel", "channel medium contactmethod")):
        columns[field] = named(table, is_text, names)
        if columns[field]:
            score.add(0.1, f"a {field}")
        else:
            score.missing.append(f"a {field}")
    return score.candidate(
        "consent",
        {
            "party": person_reference(person),
            **columns,
            "granted": granted,
            "observed_at": named(table, is_date, "recordedat modifiedat updatedat givenat consentdate createdat date"),
        },
    )


def _is_yes_or_no(column: Column) -> bool:
    return column.type_name in ("bit", "boolean", "bool", "tinyint", "int", "integer")
