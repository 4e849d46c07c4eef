"""Which columns hold personal data, by their names and types: contact, name, address, sensitive."""

from sv_assets.catalogue.entry import Sensitivity
from sv_assets.sources.introspect.contacts import kind_of_contact
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.words import (
    describes_customers,
    describes_organisations,
    describes_people,
    describes_staff,
    is_text,
    is_whole_number,
    joined,
    meanings,
    table_words,
    word_set,
    words,
)
from sv_assets.sources.types import Column

_OF_MEANING: dict[str, Sensitivity] = {
    "email": "contact", "phone": "contact", "fax": "contact",
    "first": "name", "middle": "name", "last": "name", "full": "name",
    "line_1": "address", "line_2": "address", "postcode": "address",
    "date_of_birth": "sensitive",
}  # fmt: skip
_CONTACT = word_set("ipaddress ipaddr ip skype twitter facebook linkedin instagram whatsapp")
_CONTACT_OF_PEOPLE = word_set("username login loginid userid homepage website")
_NAME = word_set("maidenname nickname nameoncard cardholdername signature")
_PLACE = word_set("spatiallocation latitude longitude geolocation coordinates gpslocation")
_SENSITIVE = word_set(
    "gender sex ssn nino passport salary income religion ethnicity disability medical diagnosis password passwd pwd iban cvv "
    "cvc birth marital nationality citizenship allergy allergies bloodtype"
)
_SENSITIVE_JOINED = (
    *("creditcard", "cardnumber", "cardno", "nationalid", "nationalinsurance", "socialsecurity", "taxid", "sortcode"),
    *("bankaccount", "securityanswer", "drivinglicence", "driverlicense", "demographics", "resume"),
)
_FREE_TEXT = word_set("notes note comment comments remark remarks memo")
_OF_A_CONTACT = _FREE_TEXT | word_set("description message text body transcript details subject")
_OF_A_SHOP = word_set("loyalty gift member membership store")
_PICTURES = word_set("photo photopath picture portrait thumbnailphoto image")


def pii_of(table: TableFound, refers_to_people: bool = False) -> dict[str, Sensitivity]:
    """The personal columns of a table, in their order. `refers_to_people`: a row belongs to a person in another table."""
    said = meanings(table)
    named = {m.kind for m in said} & {"first", "last", "full"}
    of_people = describes_customers(table) or describes_people(table) or describes_staff(table) or bool(named)
    free_text = _FREE_TEXT if of_people or refers_to_people else frozenset()
    if kind_of_contact(table):
        free_text = _OF_A_CONTACT
    by_meaning = {m.column: _OF_MEANING[m.kind] for m in said if m.kind in _OF_MEANING}
    if any(m.kind in ("line_1", "postcode") for m in said):
        by_meaning |= {m.column: "address" for m in said if m.kind == "town"}
    if describes_organisations(table) and not named:  # where a shop is, is no secret
        by_meaning = {column: kind for column, kind in by_meaning.items() if kind != "address"}
    found: dict[str, Sensitivity] = {}
    for column in table.columns:
        sensitivity = by_meaning.get(column.name) or _by_word(table, column, of_people)
        if sensitivity is None and is_text(column) and free_text & set(words(column.name)):
            sensitivity = "sensitive"
        if sensitivity is not None:
            found[column.name] = sensitivity
    return found


def _by_word(table: TableFound, column: Column, of_people: bool) -> Sensitivity | None:
    said, name, of = set(words(column.name)), joined(column.name), set(table_words(table))
    if column.type_name in ("bit", "boolean", "bool") or ("id" in said and is_whole_number(column)):
        return None
    if name in _CONTACT or (of_people and name in _CONTACT_OF_PEOPLE):
        return "contact"
    if name in _NAME and is_text(column):
        return "name"
    if name in _PLACE:
        return "address"
    if "cardnumber" in name and of & _OF_A_SHOP:
        return None
    if said & _SENSITIVE or any(part in name for part in _SENSITIVE_JOINED):
        return "sensitive"
    if name.startswith("accountn") and of & {"bank", "payment", "debit"}:
        return "sensitive"
    return "sensitive" if of_people and name in _PICTURES else None
