"""Composition: what is known of one customer becomes one document. A pure function: same input, same bytes.

| field         | rule             | the value is taken from                                                     |
|---------------|------------------|-----------------------------------------------------------------------------|
| name          | most_recent_full | the latest record that has first name and surname, else the latest with any |
| date_of_birth | most_agreed      | the date that most records give, the latest of equals                       |
| consents      | most_restrictive | a refusal by any record wins for its purpose and channel                    |

All other values are kept side by side, each with every record that says so.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from bson import Decimal128

from sv_assets.identity import normalise
from sv_assets.mongo import Document

SCHEMA_VERSION = 1
LATEST = 20
_NEVER = dt.datetime.min.replace(tzinfo=dt.timezone.utc)


@dataclass(frozen=True)
class Known:
    """Everything known of one customer: its party records and its facts."""

    customer_id: str
    records: list[Document]
    orders: list[Document]
    interactions: list[Document]
    consents: list[Document]


def compose(known: Known) -> Document:
    """The customer document, without its bookkeeping."""
    records = sorted(known.records, key=_latest_first)
    addresses = _addresses(records)
    return {
        "_id": known.customer_id,
        "schema_version": SCHEMA_VERSION,
        "name": _name(records),
        "date_of_birth": _date_of_birth(records),
        "emails": _contact_points(records, "emails", _email, ("emails",)),
        "phones": _contact_points(records, "phones", normalise.phone, ("mobiles", "lines")),
        "addresses": addresses,
        "accounts": [_provenance(r) for r in sorted(records, key=lambda r: str(r["_id"]))],
        "consents": _consents(known.consents),
        "orders": _orders(known.orders),
        "interactions": _interactions(known.interactions),
        "lookup": _lookup(records, addresses),
    }


def _latest_first(record: Document) -> tuple[float, str]:
    return -(_moment(record.get("observed_at")) - _NEVER).total_seconds(), str(record["_id"])


def _moment(value: Any) -> dt.datetime:
    """Columns give dates, messages give ISO text; without either, before all others."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return _NEVER
    if not isinstance(value, dt.datetime):
        return _NEVER
    return value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)


def _provenance(record: Document, rule: str | None = None) -> Document:
    provenance = {name: record[name] for name in ("system", "table", "key", "version")}
    return {**provenance, "rule": rule} if rule else provenance


def _name(records: list[Document]) -> Document | None:
    named = [r for r in records if r["name"]]
    full = [r for r in named if r["compared"].get("last") and len(r["compared"].get("first", "")) > 1]
    best = next(iter([*full, *named]), None)
    if best is None:
        return None
    return {
        "value": {part: _tidy(value) for part, value in best["name"].items()},
        **_provenance(best, "most_recent_full"),
    }


def _tidy(value: Any) -> Any:
    return " ".join(value.split()) if isinstance(value, str) else value


def _date_of_birth(records: list[Document]) -> Document | None:
    by_date: dict[str, list[Document]] = defaultdict(list)
    for record in records:
        if known := normalise.birth_date(record["compared"].get("born")):
            by_date[known.date.isoformat()].append(record)
    if not by_date:
        return None
    born, saying = max(by_date.items(), key=lambda item: (len(item[1]), -_latest_first(item[1][0])[0], item[0]))
    return {"value": born, **_provenance(saying[0], "most_agreed")}


def _email(raw: str) -> str | None:
    found = normalise.email(raw)
    return found.match if found else None


def _contact_points(
    records: list[Document], field: str, normalised: Callable[[str], str | None], compared: Sequence[str]
) -> list[Document]:
    """Each distinct e-mail or phone in its compared form, the latest first, with the records that give it.

    What cannot be compared (placeholders, malformed) is kept as it was typed and marked `usable: false`.
    """
    points: dict[str, Document] = {}
    for record in records:
        for raw in record[field]:
            value = normalised(raw)
            if not any(value in record["compared"].get(name, ()) for name in compared):
                value = None
            point = points.setdefault(
                value or _tidy(raw), {"value": value or _tidy(raw), "usable": value is not None, "sources": []}
            )
            if _provenance(record) not in point["sources"]:
                point["sources"].append(_provenance(record))
    return sorted(points.values(), key=lambda p: not p["usable"])


def _postcode(raw: Any) -> str | None:
    found = normalise.postcode(str(raw or ""))
    return found.unit if found else None


def _addresses(records: list[Document]) -> list[Document]:
    """Each distinct address (by line 1 and postcode), the latest first, with the rows that give it."""
    places: dict[tuple[str | None, str | None], Document] = {}
    for record in records:
        for address in record["addresses"]:
            key = (
                normalise.word(str(address.get("line_1") or "")),
                _postcode(address.get("postcode")),
            )
            shown = {
                name: _tidy(address.get(name))
                for name in (
                    "kind",
                    "line_1",
                    "line_2",
                    "town",
                    "county",
                    "postcode",
                    "country",
                    "valid_from",
                    "valid_to",
                )
            }
            place = places.setdefault(key, {**shown, "sources": []})
            if place["valid_to"] is not None and address.get("valid_to") is None:
                place.update(shown)
            place["sources"].append(_provenance(address))
    return sorted(
        places.values(),
        key=lambda p: (p["valid_to"] is not None, -_moment(p["valid_from"]).timestamp() if p["valid_from"] else 0),
    )


def _consents(consents: list[Document]) -> list[Document]:
    by_use: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for consent in consents:
        by_use[(str(consent["purpose"]), str(consent["channel"]))].append(consent)
    result = []
    for (purpose, channel), given in sorted(by_use.items()):
        # A refusal before a permission; of equals the latest, then the first by id.
        decisive = min(given, key=lambda c: (c["granted"], *_latest_first(c)))
        result.append(
            {
                "purpose": purpose,
                "channel": channel,
                "granted": decisive["granted"],
                "observed_at": decisive["observed_at"],
                **_provenance(decisive, "most_restrictive"),
            }
        )
    return result


def _orders(orders: list[Document]) -> Document:
    newest = sorted(orders, key=lambda o: (-(_moment(o["placed_at"]) - _NEVER).total_seconds(), str(o["_id"])))
    latest = [
        {
            **{name: order[name] for name in ("number", "placed_at", "status", "total", "currency", "channel")},
            "delivery": _delivery_status(order),
            **_provenance(order),
        }
        for order in newest[:LATEST]
    ]
    return {
        "count": len(orders),
        "first_at": newest[-1]["placed_at"] if newest else None,
        "last_at": newest[0]["placed_at"] if newest else None,
        "totals": _totals(orders),
        "latest": latest,
    }


def _delivery_status(order: Document) -> str | None:
    """The status of the latest delivery event."""
    events = sorted(order["deliveries"], key=lambda e: (_moment(e["at"]), str(e["record"])))
    return str(events[-1]["status"]) if events else None


def _totals(orders: Iterable[Document]) -> list[Document]:
    sums: dict[str, dict[str, Any]] = defaultdict(lambda: {"orders": 0, "spend": Decimal(0), "refunds": Decimal(0)})
    for order in orders:
        total = sums[str(order["currency"])]
        total["orders"] += 1
        total["spend"] += _decimal(order["total"])
        total["refunds"] += sum((_decimal(refund["amount"]) for refund in order["refunds"]), Decimal(0))
    return [
        {
            "currency": currency,
            "orders": total["orders"],
            "spend": Decimal128(total["spend"]),
            "refunds": Decimal128(total["refunds"]),
        }
        for currency, total in sorted(sums.items())
    ]


def _decimal(value: Any) -> Decimal:
    """An amount; what is no number (text in a legacy column) adds nothing."""
    try:
        return value.to_decimal() if isinstance(value, Decimal128) else Decimal(str(value or 0))
    except InvalidOperation:
        return Decimal(0)


def _interactions(interactions: list[Document]) -> Document:
    newest = sorted(interactions, key=lambda i: (-(_moment(i["at"]) - _NEVER).total_seconds(), str(i["_id"])))
    latest = [
        {
            **{name: item[name] for name in ("kind", "at", "closed_at", "reason", "status", "order_number")},
            **_provenance(item),
        }
        for item in newest[:LATEST]
    ]
    return {"count": len(interactions), "open": sum(i["status"] == "open" for i in interactions), "latest": latest}


def _lookup(records: list[Document], addresses: list[Document]) -> Document:
    """Exact-match keys, each under an index: whatever a caller gives is one index equality away."""
    postcodes = {p for a in addresses if (p := _postcode(a["postcode"]))}
    surnames = {r["compared"]["last"] for r in records if r["compared"].get("last")}
    return {
        "emails": sorted({e for r in records for e in r["compared"].get("emails", ())}),
        "phones": sorted({p for r in records for kind in ("mobiles", "lines") for p in r["compared"].get(kind, ())}),
        "postcodes": sorted(postcodes),
        "postcode_surnames": sorted(f"{p} {s}" for p in postcodes for s in surnames),
        "records": sorted(str(r["_id"]) for r in records),
    }
