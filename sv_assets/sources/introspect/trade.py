"""Tables of orders, their lines, payments and refunds."""

from collections.abc import Callable, Sequence
from typing import Any

from sv_assets.sources.introspect.candidates import Candidate, Score
from sv_assets.sources.introspect.found import TableFound
from sv_assets.sources.introspect.people import address_fields, person_reference
from sv_assets.sources.introspect.references import Referring
from sv_assets.sources.introspect.words import (
    is_date,
    is_number,
    is_text,
    joined,
    meanings,
    singular,
    table_words,
    word_set,
)
from sv_assets.sources.types import Column

_ORDER = {"order": 0.35, "invoice": 0.25, "sale": 0.25, "booking": 0.25, "reservation": 0.2, "transaction": 0.15}
_PARTS = word_set(
    "line item detail history status type archive log note tracking payment refund return reason tax event territory "
    "person quota reason option template draft delivery shipment"
)
_BUYING = word_set("purchase purchasing vendor supplier work production procurement")
_LINE = word_set("line item detail row position entry")
_PAYMENT = word_set("payment receipt settlement")
_REFUND = word_set("refund reimbursement creditnote")


def order(table: TableFound, key: Sequence[str], person: Referring | None, has_guests: bool) -> Candidate | None:
    """Each row is an order. Whose it is must be known, or stand in the row itself."""
    said = set(table_words(table))
    kind = max((word for word in said if word in _ORDER), key=_ORDER.__getitem__, default=None)
    if kind is None or said & _PARTS:
        return None
    score = Score()
    score.add(_ORDER[kind], "its name")
    placed_at = named(
        table, is_date,
        f"{kind}date {kind}edat placedat dateplaced date{kind}ed orderdatetime orddate purchasedate saledate salesdate "
        "transactiondate bookingdate orderplaced orderedon createdat createddate created datecreated createdon date",
    )  # fmt: skip
    if placed_at:
        score.add(0.2, "a date")
    else:
        score.missing.append("a column that says when it was placed")
    if person:
        score.add(person.weight, person.because)
    else:
        score.missing.append("the column that says whose order it is")
    total = named(
        table, is_number,
        f"grandtotal total{kind} {kind}total totaldue totalamount {kind}amount {kind}value totalprice amountdue total "
        "nettotal grosstotal subtotal amount",
    )  # fmt: skip
    if total:
        score.add(0.1, "a total")
    number = named(
        table, _any, f"{kind}number {kind}no {kind}num salesordernumber ordnum orderreference ordernumber reference"
    )
    if number is None and len(key) == 1:
        number = key[0]
    if number is None:
        score.missing.append("a column that is its number")
    at_most = 0.99
    if said & _BUYING:
        at_most = 0.3
        score.because.append("but it seems to be what the company orders itself")
    reference: dict[str, str] | None = person_reference(person)
    if reference is not None and has_guests:
        reference["otherwise"] = "self"
    return score.candidate(
        "order",
        {
            "number": number,
            "placed_at": placed_at,
            "party": reference,
            "status": named(table, is_text, f"status {kind}status state"),
            "total": total,
            "currency": named(table, is_text, "currency currencycode currencyiso currencyisocode"),
            "channel": named(table, is_text, "channel saleschannel orderchannel"),
            "postcode": address_fields(meanings(table)).get("postcode"),
        },
        at_most,
    )


def order_line(
    table: TableFound, key: Sequence[str], order_reference: Referring | None, products: Sequence[Referring]
) -> Candidate | None:
    """Each row is a line of an order."""
    said = set(table_words(table))
    named_so = bool(said & _LINE) and bool(said & set(_ORDER))
    quantity = named(table, is_number, "quantity qty orderqty orderquantity quantityordered units unitsordered")
    price = named(table, is_number, "unitprice price pricepaid priceperunit saleprice itemprice")
    if not named_so and not (order_reference and quantity):
        return None
    score = Score()
    if named_so:
        score.add(0.3, "its name")
    _add_order(score, order_reference)
    if quantity:
        score.add(0.15, "a quantity")
    if price:
        score.add(0.1, "a price")
    line = named(table, _any, "linenumber lineno linenum line linesequence position itemnumber sequence")
    rest = [name for name in key if order_reference is None or name != order_reference.column]
    line = line or (rest[0] if len(rest) == 1 else None)
    if line is None:
        score.missing.append("a column that tells the lines of an order apart")
    product = next((r.column for r in products if order_reference is None or r.column != order_reference.column), None)
    sku = named(
        table, _any, "sku productcode itemcode stockcode productsku ean barcode productid itemid articleid stockitemid"
    )
    return score.candidate(
        "order_line",
        {
            "order": _order(order_reference),
            "line": line,
            "sku": sku or product,
            "description": named(table, is_text, "description productname itemname itemdescription"),
            "quantity": quantity,
            "unit_price": price,
            "total": named(table, is_number, "linetotal total extendedprice lineamount amount totalprice"),
        },
    )


def payment(table: TableFound, order_reference: Referring | None) -> Candidate | None:
    """Each row is a payment for an order."""
    if not set(table_words(table)) & _PAYMENT:
        return None
    score, amount = _money_on_an_order(table, order_reference)
    return score.candidate(
        "payment",
        {
            "order": _order(order_reference),
            "amount": amount,
            "method": named(table, is_text, "method paymentmethod paymenttype type"),
            "status": named(table, is_text, "status paymentstatus state"),
            "paid_at": named(table, is_date, "paidat paymentdate paidon datepaid paymentat paid createdat date"),
        },
    )


def refund(table: TableFound, order_reference: Referring | None) -> Candidate | None:
    """Each row is a refund on an order."""
    if not set(table_words(table)) & _REFUND:
        return None
    score, amount = _money_on_an_order(table, order_reference)
    return score.candidate(
        "refund",
        {
            "order": _order(order_reference),
            "amount": amount,
            "reason": named(table, is_text, "reason refundreason"),
            "refunded_at": named(table, is_date, "refundedat refunddate refundedon daterefunded createdat date"),
        },
    )


def named(table: TableFound, fits: Callable[[Column], bool], names: str) -> str | None:
    """The first column of a fitting type that has one of these names, the better names first; the table's own word before
    them is no matter (`CallStatus` of a table Call is its status)."""
    own = "".join(table_words(table))
    columns = [(joined(column.name), column) for column in table.columns if fits(column)]
    for name in names.split():
        for said, column in columns:
            if said in (name, own + name) or singular(said) == name:
                return column.name
    return None


def _money_on_an_order(table: TableFound, order_reference: Referring | None) -> tuple[Score, str | None]:
    score = Score()
    score.add(0.3, "its name")
    _add_order(score, order_reference)
    amount = named(table, is_number, "amount total value paymentamount refundamount amountpaid paid")
    if amount:
        score.add(0.25, "an amount")
    else:
        score.missing.append("an amount")
    return score, amount


def _add_order(score: Score, order_reference: Referring | None) -> None:
    if order_reference is None:
        score.missing.append("the column that says which order it belongs to")
    else:
        score.add(order_reference.weight, order_reference.because)


def _order(order_reference: Referring | None) -> dict[str, Any] | None:
    return None if order_reference is None else {"id": order_reference.column}


def _any(column: Column) -> bool:
    return is_text(column) or is_number(column)
