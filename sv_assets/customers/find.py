"""Finding a customer from what a caller says: every question is an equality on one index."""

from dataclasses import dataclass

from sv_assets.errors import ConfigurationError
from sv_assets.identity import normalise
from sv_assets.identity.customer_ids import resolve
from sv_assets.mongo import Document, Store


@dataclass(frozen=True)
class Found:
    """A customer document, and why it was found."""

    customer: Document
    reason: str


def by_email(store: Store, email: str) -> list[Found]:
    """Customers who have this e-mail address. Raises ConfigurationError for what is no address."""
    value = normalise.email(email)
    if value is None:
        raise ConfigurationError("That is not an e-mail address. Give it as name@example.com.")
    return _by_key(store, "lookup.emails", value.match, "e-mail address")


def by_phone(store: Store, phone: str) -> list[Found]:
    """Customers who have this phone number, written in any usual way."""
    value = normalise.phone(phone)
    if value is None:
        raise ConfigurationError("That is not a phone number. Give it whole, as 07700 900123 or +44 7700 900123.")
    return _by_key(store, "lookup.phones", value, "phone number")


def by_postcode(store: Store, postcode: str, surname: str | None = None) -> list[Found]:
    """Customers with an address in this postcode, and with this surname where it is given."""
    value = normalise.postcode(postcode)
    if value is None:
        raise ConfigurationError("That is not a postcode. Give it as SW1A 1AA.")
    if surname and (name := normalise.person_name(last=surname).last):
        return _by_key(store, "lookup.postcode_surnames", f"{value.unit} {name}", "postcode and surname")
    return _by_key(store, "lookup.postcodes", value.unit, "postcode")


def by_order(store: Store, number: str) -> list[Found]:
    """The customer of the order with this number."""
    orders = store.single_view["orders"].find({"number": number.strip()}, {"customer_id": 1})
    found = [by_id(store, order["customer_id"]) for order in orders if order["customer_id"]]
    return [Found(customer, "order number") for customer in found if customer]


def by_id(store: Store, customer_id: str) -> Document | None:
    """The customer with this id, or with the id that it is an alias of."""
    customers = store.single_view["customers"]
    return customers.find_one({"_id": customer_id}) or customers.find_one({"_id": resolve(store, customer_id)})


def _by_key(store: Store, field: str, value: str, reason: str) -> list[Found]:
    found = store.single_view["customers"].find({field: value}).limit(50)
    return [Found(customer, reason) for customer in sorted(found, key=lambda c: (-c["orders"]["count"], c["_id"]))]
