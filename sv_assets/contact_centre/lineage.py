"""Which field of the contact centre's collections is made from which field of the single view."""

from sv_assets.customers.lineage import INTERACTIONS, Lineage

CUSTOMERS = "single_view/customers"
CALLS = "contact_centre/calls"


def of_cards() -> Lineage:
    """The fields of a card from those of the customer."""
    made_from = {
        "who": ("name", "date_of_birth"),
        "reach": ("email", "phone", "address", "emails", "phones"),
        "preferences": ("consents",),
        "warnings": ("flags",),
        "restricted": ("rights",),
        "reasons": ("open_issues", "orders", "interactions"),
        "open": ("open_issues",),
        "orders": ("orders",),
        "contacts": ("interactions",),
        "customer_version": ("version",),
    }
    return {field: [(CUSTOMERS, column) for column in columns] for field, columns in made_from.items()}


def of_calls() -> Lineage:
    """The fields of a measured call from those of the interaction."""
    made_from = {
        "customer_id": ("customer_id",),
        "at": ("at",),
        "day": ("at",),
        "reason": ("reason",),
        "seconds": ("duration_seconds",),
        "repeats": ("customer_id", "reason", "at"),
    }
    return {field: [(INTERACTIONS, column) for column in columns] for field, columns in made_from.items()}


def of_metrics() -> Lineage:
    """The figures of a day from its calls."""
    made_from = {
        "day": ("day",), "reason": ("reason",), "calls": ("day",), "repeats": ("repeats",),
        "timed": ("seconds",), "seconds": ("seconds",),
    }  # fmt: skip
    return {field: [(CALLS, column) for column in columns] for field, columns in made_from.items()}
