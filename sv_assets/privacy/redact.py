"""Other people's data in what is handed over: taken out; the person's own stays, however it is written.

- an e-mail address, phone number, customer id or record id that is not the person's own, anywhere in a text;
- the value of a column that is declared as a name, unless it is one of the person's names;
- the value of a column that holds people by its name (`Agent`, `CreatedBy`, `RecipientName` …: `others` in `retention.yaml`), and
  who of the staff read, recorded or decided something;
- the whole names of those near to the person (household, shared contacts), anywhere in a text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sv_assets.ledger import EMAIL, PHONE, contacts_in

OTHER = "[somebody else]"
_OURS = frozenset({"message_id", "run_id", "hash", "version", "model"})
"""What we number ourselves: it looks like a telephone number now and then."""
_STAFF = frozenset({"actor", "by", "decided_by", "confirmed_by"})
"""Where we ourselves write down who of the staff did something."""
_CUSTOMER_ID = re.compile(r"(?<![A-Za-z0-9])C[0-9A-HJKMNP-TV-Z]{16}(?![A-Za-z0-9])")
_LETTERS = re.compile(r"[^a-z]")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Redaction:
    """What is the person's own, and what is known of others. `contacts` as `contacts_in` gives them; `ids` of customers."""

    contacts: frozenset[str]
    ids: frozenset[str]
    words: frozenset[str]
    """The words of the person's names, folded."""
    names_of_others: tuple[str, ...] = ()
    columns_of_others: tuple[str, ...] = ()
    records: frozenset[str] = frozenset()
    """Ids of the person's own records and orders."""
    party_sources: tuple[str, ...] = ()
    """The sources whose rows are people: the id of such a row that is none of theirs is somebody else's."""
    name_columns: frozenset[str] = field(default_factory=frozenset)
    """Columns (or last parts of paths) declared as names."""
    numbers: frozenset[str] = frozenset()
    """What looks like a telephone number in the person's own keys, order numbers and references."""

    def document(self, value: Any, column: str = "") -> Any:
        """The same with everything of others taken out."""
        if isinstance(value, dict):
            return {key: self.document(item, str(key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.document(item, column) for item in value]
        if column in _OURS and isinstance(value, str) and not self._records_in(value):
            return value
        if not isinstance(value, str) or not value:
            return OTHER if value not in (None, "") and self._is_of_others(column) else value
        if self._is_of_others(column):
            return value if self._is_own_name(value) else OTHER
        if column in self.name_columns and not self._is_own_name(value):
            return OTHER
        return self.text(value)

    def text(self, text: str) -> str:
        """The same for a text of any kind."""
        for pattern in (EMAIL, PHONE):
            text = pattern.sub(lambda match: match.group() if self._is_own(match.group()) else OTHER, text)
        for record in self._records_in(text):
            text = text.replace(record, OTHER)
        text = _CUSTOMER_ID.sub(lambda match: match.group() if match.group() in self.ids else OTHER, text)
        for name in self.names_of_others:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", OTHER, text, flags=re.IGNORECASE)
        return text

    def _is_own(self, found: str) -> bool:
        return found in self.numbers or contacts_in(found) <= self.contacts

    def _records_in(self, text: str) -> list[str]:
        """The ids of other people's records in a text, the longest first."""
        if ":" not in text:
            return []
        found = (
            match for source in self.party_sources for match in re.findall(rf"{re.escape(source)}:[^\s,;|\"']+", text)
        )
        return sorted({record for record in found if record not in self.records}, key=len, reverse=True)

    def _is_of_others(self, column: str) -> bool:
        folded = _LETTERS.sub("", column.lower())
        return column in _STAFF or any(part in folded for part in self.columns_of_others)

    def _is_own_name(self, text: str) -> bool:
        words = [word for word in _words(text) if len(word) > 1]
        initials = {word[0] for word in self.words}
        return all(word in self.words for word in words) and all(word[0] in initials for word in _words(text))


def _words(text: str) -> list[str]:
    titles = {"mr", "mrs", "ms", "miss", "dr", "mx"}
    return [word for word in _WORD.findall(text.casefold()) if word not in titles]


def numbers_in(texts: Iterable[str]) -> frozenset[str]:
    """What looks like a telephone number in some texts."""
    return frozenset(found for text in texts for found in PHONE.findall(text))


def words_of(names: Iterable[str]) -> frozenset[str]:
    return frozenset(word for name in names for word in _words(name))
