"""The card of a customer: what an agent needs on one screen, made from the customer document. A pure function."""

from typing import Any

from sv_assets.contact_centre.reasons import reasons_of
from sv_assets.contact_centre.settings import ContactCentreSettings
from sv_assets.mongo import Document

RESTRICTED = "This person restricted the use of their data: they are only stored. For a legal claim or a request of their own, ask the privacy team."
MOST_CONTACTS = 5
"""So many other e-mail addresses and phone numbers stand on a card."""


def card_of(customer: Document, settings: ContactCentreSettings) -> Document:
    """Who, how to reach them, preferences, what is under way, the latest, likely reasons to call, and warnings.

    Of somebody who restricted the use of their data (UK GDPR, Art. 18) nothing but the name, and that it is so.
    """
    restricted = (customer.get("rights") or {}).get("restricted", False)
    card = _card(_withheld(customer) if restricted else customer, settings)
    if restricted:
        card["restricted"] = {"says": RESTRICTED, "since": customer["rights"].get("restricted_since")}
    return card


def _withheld(customer: Document) -> Document:
    """A customer of whom only the name is known."""
    lists = ("emails", "phones", "consents", "flags")
    return {
        **{name: customer[name] for name in ("_id", "version", "name")},
        **{name: [] for name in lists},
        "open_issues": {"count": 0, "latest": []},
        "orders": {"count": 0, "totals": [], "latest": []},
        "interactions": {"count": 0, "latest": []},
    }


def _card(customer: Document, settings: ContactCentreSettings) -> Document:
    issues = customer["open_issues"]
    return {
        "_id": customer["_id"],
        "who": {
            "name": _golden(customer, "name"),
            "date_of_birth": _golden(customer, "date_of_birth"),
        },
        "reach": {
            "email": _golden(customer, "email"),
            "phone": _golden(customer, "phone"),
            "address": _golden(customer, "address"),
            "other_emails": _others(customer["emails"]),
            "other_phones": _others(customer["phones"]),
        },
        "preferences": [{n: c[n] for n in ("purpose", "channel", "granted")} for c in customer["consents"]],
        "warnings": _warnings(customer, settings),
        "reasons": reasons_of(customer, settings.reasons, settings.zone),
        "open": {
            "count": issues["count"],
            "deliveries": [_part(i, _DELIVERY) for i in issues["latest"] if i["kind"] == "delivery"],
            "complaints": [_part(i, _ISSUE) for i in issues["latest"] if i["kind"] != "delivery"],
        },
        "orders": {
            "count": customer["orders"]["count"],
            "first_at": customer["orders"].get("first_at"),
            "totals": customer["orders"]["totals"],
            "latest": [_part(o, _ORDER) for o in customer["orders"]["latest"][: settings.latest_orders]],
        },
        "contacts": {
            "count": customer["interactions"]["count"],
            "latest": [_part(i, _CONTACT) for i in customer["interactions"]["latest"][: settings.latest_contacts]],
        },
        "customer_version": customer["version"],
    }


_DELIVERY = ("order_number", "parcel", "status", "since")
_ISSUE = ("kind", "order_number", "status", "since")
_ORDER = ("number", "placed_at", "status", "total", "refunded", "currency", "delivery")
_CONTACT = ("kind", "at", "reason", "status", "order_number", "closed_at")


def _part(of: Document, names: tuple[str, ...]) -> Document:
    return {name: of.get(name) for name in names}


def _golden(customer: Document, field: str) -> Any:
    golden = customer.get(field)
    return golden["value"] if golden else None


def _others(known: list[Document]) -> list[str]:
    """Other usable values, the latest first as they stand in the customer."""
    return [item["value"] for item in known if item["status"] in ("current", "former")][:MOST_CONTACTS]


def _warnings(customer: Document, settings: ContactCentreSettings) -> Document:
    """By name: what is said, since when, and until when where it ends. Of several flags the one that lasts longest counts."""
    found: Document = {}
    for name, rule in settings.warnings.items():
        raised = [flag for flag in customer.get("flags", ()) if flag["flag"] in rule.flags]
        if raised:
            lasting = [flag for flag in raised if flag["until"] is None]
            last = lasting[0] if lasting else max(raised, key=lambda flag: flag["until"])
            found[name] = {"says": rule.says, "since": last["since"], "until": last["until"], "system": last["system"]}
    return found
