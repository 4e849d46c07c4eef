"""How one planted order comes into the sales system: its header, lines, payments, and what was paid back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sv_assets.local.generator.calendar import Calendar, Draw, datetime_of_thirds
from sv_assets.local.generator.fraud_truth import Planted
from sv_assets.local.generator.people import Address, Person, an_address, new_person
from sv_assets.local.generator.rows import Batch, Ids, payment_uuid
from sv_assets.local.generator.sales import fingerprint
from sv_assets.local.generator.words import PRODUCTS, TOWNS

STRANGERS = 6_000_000
"""From here on people are numbered who exist only because somebody made them up; their mobiles belong to nobody else."""
_SECONDS_BETWEEN_ATTEMPTS = 11
_OPENING, _CLOSING = 6 * 3600 + 60, 22 * 3600 + 58 * 60
_CHEAP = [n for n, product in enumerate(PRODUCTS) if product[2] < 2_000]
_MIDDLING = [n for n, product in enumerate(PRODUCTS) if 2_000 <= product[2] < 6_000]
_DEAR = [n for n, product in enumerate(PRODUCTS) if product[2] >= 7_000]
BASKETS = {"small": (_CHEAP, 1, 1), "usual": (_MIDDLING, 1, 2), "large": (_DEAR, 2, 4), "good": (_DEAR, 1, 2)}
"""By name: of which products, how many lines at least and at most."""


class Account(NamedTuple):
    """A person's account in the shop, and where its row stands in the batch."""

    person: Person
    number: int
    place: int
    opened: str


@dataclass(frozen=True)
class Purchase:
    """What is ordered, by whom, with what. `account` None is a guest. `declined` are attempts with the card that fail."""

    person: Person
    account: int | None
    at: str
    basket: str
    to: Address
    billed: Address
    device: str | None
    card: str
    declined: int = 0
    guest: tuple[str | None, str | None, str | None, str | None] | None = None


@dataclass
class Field:
    """Where things are planted: one chunk of people and its rows."""

    seed: int
    chunk: int
    batch: Batch
    calendar: Calendar
    draw: Draw
    ids: Ids
    accounts: list[Account]
    strangers: int = 0
    incidents: int = 0

    def pick(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return low + int(self.draw() * (high - low + 1))

    def day(self, before_end: int = 1) -> int:
        """A day of trading after the first quarter, and so long before the end."""
        return self.pick(90, self.calendar.last - before_end)

    def second(self, room: int = 0) -> int:
        """A second of opening hours with `room` seconds behind it."""
        return self.pick(_OPENING, _CLOSING - room)

    def at(self, day: int, second: int) -> str:
        """A naive London date-time in opening hours."""
        second = min(max(second, _OPENING), _CLOSING)
        thousandths = self.pick(0, 999)
        return f"{self.calendar.date(day)} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{thousandths:03d}"

    def elsewhere(self) -> Address:
        return an_address(TOWNS[int(self.draw() * len(TOWNS))], self.draw)

    def stranger(self) -> Person:
        """Somebody made up."""
        self.strangers += 1
        number = STRANGERS + 1_000 * self.chunk + self.strangers
        return new_person(self.seed, number, self.calendar.until)._replace(landline=None)

    def member(self, opened_before: int) -> Account | None:
        """Somebody with an account since before that day, to whom nothing was done yet."""
        limit = self.calendar.date(opened_before)
        for n in range(len(self.accounts)):
            if self.accounts[n].opened < limit:
                return self.accounts.pop(n)
        return None

    def card_of(self, person: Person) -> str:
        return fingerprint(person.card_owner)

    def new_card(self) -> str:
        return fingerprint(500_000_000 + int(self.draw() * 400_000_000))

    def open_account(self, person: Person, day: int, email: str | None, phone: str | None) -> int:
        """An account of the web shop, without a customer number of the stores."""
        number = self.ids.next("account")
        opened = self.at(day, self.second())
        row = (number, f"A{number:08d}", None, person.first, person.last, email, phone, opened, opened)
        self.batch.rows["sales", "Account"].append(row)
        self.batch.truth.append(("sales.account", str(number), person.number))
        return number

    def incident(self) -> str:
        """The name of the next one."""
        self.incidents += 1
        return f"I{self.chunk:04d}-{self.incidents:03d}"

    def order(self, pattern: str, incident: str, bought: Purchase, *, fraud: bool, status: str = "completed") -> int:
        """Write the order, and say what it is. Returns its number."""
        self.ids.order += 1
        order, rows, version = self.ids.order, self.batch.rows, self.ids.rowversions["sales"].next
        products, least, most = BASKETS[bought.basket]
        pence = 0
        for line in range(1, self.pick(least, most) + 1):
            sku, description, price = PRODUCTS[products[int(self.draw() * len(products))]]
            quantity = 1 if bought.basket == "small" or self.draw() < 0.7 else 2
            pence += quantity * price
            total = quantity * price / 100
            rows["sales", "OrderLine"].append((order, line, sku, description, quantity, price / 100, total, version()))
        pence += 0 if pence > 5_000 else 399
        guest = bought.guest or (None, None, None, None)
        if bought.account is None:
            person, mobile = bought.person, bought.person.mobile
            guest = bought.guest or (person.first, person.last, person.email, mobile and f"0{mobile}")
            self.batch.truth.append(("sales.orderheader", str(order), person.number))
        to, billed = ((place.line1, place.town, place.postcode) for place in (bought.to, bought.billed))
        channel = "web" if bought.device is None or self.draw() < 0.7 else "app"
        header = (order, f"SO{order:08d}", bought.account, *guest, *to, bought.at, status, "GBP", pence / 100)
        rows["sales", "OrderHeader"].append((*header, channel, bought.at, bought.device, *billed))
        for attempt, outcome in enumerate(["failed"] * bought.declined + ["captured"]):
            self.ids.payment += 1
            tried_at = _later(bought.at, attempt * _SECONDS_BETWEEN_ATTEMPTS)
            paid_at = datetime_of_thirds(tried_at)
            row = (payment_uuid(self.ids.payment), order, "card", bought.card, pence / 100, outcome, paid_at, tried_at)
            rows["sales", "Payment"].append(row)
        self.batch.planted.append(Planted("sales.orderheader", str(order), pattern, incident, int(fraud)))
        return order

    def pay_back(self, order: int, day: int, reason: str, kind: str, part: float = 1.0) -> None:
        """A refund or chargeback on a planted order, if that day has come."""
        if day > self.calendar.last:
            return
        header = next(row for row in reversed(self.batch.rows["sales", "OrderHeader"]) if row[0] == order)
        at = self.at(day, self.second())
        amount = round(header[13] * part, 2)
        row = (self.ids.next("refund"), order, amount, reason, datetime_of_thirds(at), at, kind)
        self.batch.rows["sales", "Refund"].append(row)

    def charge_back(self, orders: Sequence[int], day: int, share: float) -> None:
        """Some weeks later the banks take the money back."""
        for order in orders:
            if self.draw() < share:
                self.pay_back(order, day + self.pick(18, 60), "Cardholder disputes", "chargeback")


def _later(stamp: str, seconds: int) -> str:
    """A naive date-time some seconds after another."""
    moment = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f") + timedelta(seconds=seconds)  # noqa: DTZ007
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
