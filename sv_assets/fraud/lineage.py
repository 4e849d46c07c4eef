"""Which fields of orders and customers each signal is made from."""

from sv_assets.customers.lineage import CUSTOMERS, ORDERS, PARTY_RECORDS, Lineage, Upstream
from sv_assets.fraud.settings import ANOMALY, FraudSettings
from sv_assets.fraud.signals import NAMES

SIGNALS, SCORES, CASES = "fraud/signals", "fraud/scores", "fraud/cases"


def _orders(*fields: str) -> list[Upstream]:
    return [(ORDERS, field) for field in fields]


_PLACED = ("placed_at", "customer_id")
_PHONES: Upstream = (PARTY_RECORDS, "phones")
_NAMES: list[Upstream] = [(PARTY_RECORDS, "name.first"), (PARTY_RECORDS, "name.last"), (PARTY_RECORDS, "name.full")]
_OPENED: Upstream = (PARTY_RECORDS, "opened_at")
_TO = ("delivery_address.line_1", "delivery_address.town", "delivery_address.postcode")
_BILLED = ("billing_address.line_1", "billing_address.town", "billing_address.postcode")
_CONTACTS: list[Upstream] = [_PHONES, (PARTY_RECORDS, "emails")]
_BACK = ("refunds.amount", "refunds.refunded_at", "refunds.kind")
_SHARED: list[Upstream] = [*_CONTACTS, *_orders("payments.card", "device", *_TO)]
_MADE_FROM: dict[str, list[Upstream]] = {
    "card_orders_1h": _orders("placed_at", "payments.card"),
    "card_orders_24h": _orders("placed_at", "payments.card"),
    "device_orders_1h": _orders("placed_at", "device"),
    "device_orders_24h": _orders("placed_at", "device"),
    "phone_orders_24h": [*_orders("placed_at"), _PHONES],
    "address_orders_24h": _orders("placed_at", *_TO),
    "customer_orders_7d": _orders(*_PLACED),
    "cards_on_device_24h": _orders("placed_at", "device", "payments.card"),
    "declined_24h": _orders("placed_at", "device", "payments.card", "payments.status"),
    "names_on_phone_90d": [*_orders(*_PLACED), _PHONES, *_NAMES],
    "names_on_card_90d": [*_orders(*_PLACED, "payments.card"), *_NAMES],
    "names_on_device_30d": [*_orders(*_PLACED, "device"), *_NAMES],
    "strangers_at_address_60d": [*_orders(*_PLACED, *_TO, *_BILLED), *_NAMES, _OPENED],
    "known_days": [*_orders(*_PLACED), _OPENED],
    "new_account_old_address": [*_orders(*_PLACED, *_TO), *_NAMES, _OPENED],
    "merged_7d": [*_orders(*_PLACED), (CUSTOMERS, "sources")],
    "delivered_elsewhere": _orders(*_TO, *_BILLED),
    "new_address": _orders(*_PLACED, *_TO),
    "new_device": _orders(*_PLACED, "device"),
    "new_card": _orders(*_PLACED, "payments.card"),
    "contact_changed_7d": [*_orders("placed_at"), _OPENED, (PARTY_RECORDS, "observed_at")],
    "value": _orders("total"),
    "value_ratio": _orders(*_PLACED, "total", "currency"),
    "spend_7d": _orders(*_PLACED, "total", "currency"),
    "spend_7d_ratio": _orders(*_PLACED, "total", "currency"),
    "full_refunds_180d": _orders(*_PLACED, "total", "status", *_BACK),
    "refund_share_180d": _orders(*_PLACED, "total", "currency", "status", *_BACK),
    "chargebacks_365d": _orders(*_PLACED, *_BACK),
    "shared_chargebacks_365d": [*_orders(*_PLACED, *_BACK), *_SHARED],
    "shared_fraud_365d": [*_orders(*_PLACED), *_SHARED],
    "placeholders": [*_CONTACTS, *_NAMES],
    "unreachable": _CONTACTS,
}


def of_signals() -> Lineage:
    """By signal, the fields it is made from."""
    return {name: _MADE_FROM[name] for name in NAMES}


def of_scores(settings: FraudSettings) -> Lineage:
    """By rule, the signals it asks; the model asks all."""
    by_rule: Lineage = {rule.name: [(SIGNALS, name) for name in rule.when] for rule in settings.rules}
    return {**by_rule, ANOMALY: [(SIGNALS, name) for name in NAMES]}


def of_cases() -> Lineage:
    """By field of a case, those of the score that it shows."""
    return {name: [(SCORES, name)] for name in ("points", "risk", "rules", "reasons", "anomaly", "contributions")}
