"""Fraud, and honest people who look like it: what is planted in a chunk of people, and the truth about it."""

from collections.abc import Callable

from sv_assets.local.generator.calendar import Calendar, Draw
from sv_assets.local.generator.contacts import mobile_of
from sv_assets.local.generator.habits import device_token
from sv_assets.local.generator.people import Address, Person
from sv_assets.local.generator.planting import Account, Field, Purchase
from sv_assets.local.generator.rows import Batch, Ids
from sv_assets.local.generator.words import PLACEHOLDER_EMAILS

PER_PEOPLE = 2_000
FEW_PEOPLE, SOME_PEOPLE = 200, 300
"""Among few people nothing is planted; from some on, each pattern at least once."""


def add_fraud(
    batch: Batch, people: list[Person], seed: int, chunk: int, calendar: Calendar, draw: Draw, ids: Ids
) -> None:
    """Plant every pattern and every look-alike, about so often as `PATTERNS` says."""
    if len(people) < FEW_PEOPLE:
        return
    field = Field(seed, chunk, batch, calendar, draw, ids, _accounts(batch, people, draw))
    for plant, rate in PATTERNS:
        often = rate * len(people) / PER_PEOPLE
        number = int(often) + (draw() < often % 1)
        for _ in range(max(number, 1) if len(people) >= SOME_PEOPLE else number):
            plant(field)


def _accounts(batch: Batch, people: list[Person], draw: Draw) -> list[Account]:
    """The accounts of these people, in no order."""
    by_number = {person.number: person for person in people}
    owner = {key: by_number[number] for source, key, number in batch.truth if source == "sales.account"}
    rows = batch.rows["sales", "Account"]
    found = [Account(owner[str(row[0])], row[0], place, row[7]) for place, row in enumerate(rows)]
    return sorted(found, key=lambda _: draw())


def card_testing(field: Field) -> None:
    """Stolen cards are tried within minutes by many small orders from one device."""
    name, count, day = field.incident(), field.pick(6, 11), field.day()
    device = device_token(f"tester {field.seed} {name}")
    second, step = field.second(2_700), field.pick(40, 240)
    one_name, one_card = field.draw() < 0.4, field.draw() < 0.4
    person, card, orders = field.stranger(), field.new_card(), []
    for n in range(count):
        person = person if one_name else field.stranger()
        card = card if one_card or n % 3 else field.new_card()
        at = field.at(day, second + n * step + field.pick(0, 30))
        bought = Purchase(person, None, at, "small", person.address, field.elsewhere(), device, card, field.pick(0, 2))
        orders.append(field.order("card_testing", name, bought, fraud=True))
    field.charge_back(orders, day, 0.6)


def account_takeover(field: Field) -> None:
    """An old account with a new telephone, a new device and a new address orders dear things."""
    day, name = field.day(), field.incident()
    account = field.member(day - 250)
    if account is None:
        return
    person = account.person
    drop, device = field.elsewhere(), device_token(f"thief {field.seed} {name}")
    second = field.second(9_000)
    _change_phone(field, account, mobile_of(7_000_000 + field.chunk * 100 + field.incidents), day, second)
    card = field.card_of(person) if field.draw() < 0.6 else field.new_card()
    orders = []
    for n in range(field.pick(1, 3)):
        at = field.at(day, second + 300 + n * field.pick(600, 2_500))
        bought = Purchase(person, account.number, at, "large", drop, person.address_on(day), device, card)
        orders.append(field.order("account_takeover", name, bought, fraud=True))
    field.charge_back(orders, day, 0.7)


def refund_abuse(field: Field) -> None:
    """One customer says of nearly every parcel that it never came."""
    name, person = field.incident(), field.stranger()
    day = field.pick(90, field.calendar.last - 120)
    opened = day - field.pick(5, 80)
    number = field.open_account(person, opened, person.email, _written(person.mobile))
    account = Account(person, number, -1, "")
    for _ in range(field.pick(7, 10)):
        day += field.pick(5, 15)
        if day > field.calendar.last:
            break
        order = field.order("refund_abuse", name, _own(field, account, day, "usual"), fraud=True)
        if field.draw() < 0.85:
            field.pay_back(order, day + field.pick(2, 4), "Late delivery", "refund")


def reshipping(field: Field) -> None:
    """Cards of people all over the country pay for parcels that go to one address, each in another name."""
    name, drop, day = field.incident(), field.elsewhere(), field.day(45)
    devices = [device_token(f"mule {field.seed} {name} {n}") for n in range(field.pick(1, 3))]
    orders = []
    for _ in range(field.pick(6, 10)):
        day += field.pick(0, 5)
        person = field.stranger()
        account = field.open_account(person, day - field.pick(0, 1), person.email, _written(person.mobile))
        device = devices[int(field.draw() * len(devices))]
        at = field.at(day, field.second())
        if account and field.draw() < 0.5:
            at = max(at, field.at(day, field.second()))
        bought = Purchase(person, account, at, "good", drop, person.address, device, field.new_card())
        orders.append(field.order("reshipping", name, bought, fraud=True))
    field.charge_back(orders, day, 0.5)


def bust_out(field: Field) -> None:
    """An account behaves well for months, then buys all that it can within days, and never pays."""
    name, person = field.incident(), field.stranger()
    day = field.pick(60, field.calendar.last - 130)
    number = field.open_account(person, day, person.email, _written(person.mobile))
    account = Account(person, number, -1, "")
    for _ in range(field.pick(3, 6)):
        day += field.pick(8, 24)
        field.order("good_beginning", name, _own(field, account, day, "usual"), fraud=False)
    day, orders = min(day + field.pick(5, 20), field.calendar.last - 6), []
    for _ in range(field.pick(4, 7)):
        orders.append(field.order("bust_out", name, _own(field, account, day, "large"), fraud=True))
        day += field.pick(0, 1)
    field.charge_back(orders, day, 0.8)


def synthetic_identities(field: Field) -> None:
    """Many made-up names share a telephone, order days after they signed up, and give no e-mail that is one."""
    name, day = field.incident(), field.day(30)
    phone = mobile_of(8_000_000 + field.chunk * 100 + field.incidents)
    homes = [account.person.address for account in field.accounts[-3:]] or [field.elsewhere()]
    device, orders = device_token(f"factory {field.seed} {name}"), []
    for n in range(field.pick(5, 9)):
        person = field.stranger()
        email = PLACEHOLDER_EMAILS[int(field.draw() * len(PLACEHOLDER_EMAILS))] if field.draw() < 0.7 else None
        number = field.open_account(person, day, email, _written(phone))
        to = homes[n % len(homes)]
        for _ in range(field.pick(1, 2)):
            later = day + field.pick(1, 3)
            at = field.at(later, field.second())
            bought = Purchase(person, number, at, "good", to, to, device, field.new_card())
            orders.append(field.order("synthetic_identity", name, bought, fraud=True))
        day = min(day + field.pick(0, 3), field.calendar.last - 4)
    field.charge_back(orders, day, 0.5)


def christmas(field: Field) -> None:
    """One evening in December somebody orders presents for all the family, to be sent to each of them."""
    account, name = field.member(200), field.incident()
    if account is None:
        return
    days = [d for d in range(200, field.calendar.last) if field.calendar.date(d)[5:7] == "12"]
    day = days[int(field.draw() * len(days))] if days else field.day()
    second = field.second(7_200)
    for n in range(field.pick(4, 7)):
        to = field.elsewhere() if field.draw() < 0.6 else account.person.address_on(day)
        bought = _own(field, account, day, "usual", to=to, at=field.at(day, second + n * field.pick(240, 1_000)))
        field.order("christmas", name, bought, fraud=False)


def office(field: Field) -> None:
    """Colleagues have their parcels sent to work."""
    name, desk = field.incident(), field.elsewhere()
    for _ in range(field.pick(8, 14)):
        if (account := field.member(200)) is None:
            return
        for _ in range(field.pick(1, 2)):
            field.order(
                "office",
                name,
                _own(field, account, field.pick(210, field.calendar.last - 1), "usual", to=desk),
                fraud=False,
            )


def shared_flat(field: Field) -> None:
    """Students who share a flat, and nothing else, all order there within a term."""
    name, flat, day = field.incident(), field.elsewhere(), field.day(100)
    for _ in range(field.pick(4, 5)):
        if (account := field.member(day)) is None:
            return
        for _ in range(field.pick(1, 3)):
            later = day + field.pick(0, 90)
            field.order("shared_flat", name, _own(field, account, later, "usual", to=flat, billed=flat), fraud=False)


def family_card(field: Field) -> None:
    """A family orders from one computer, with one card, in two names."""
    first, second, name = field.member(200), field.member(200), field.incident()
    if first is None or second is None:
        return
    day, home = field.day(40), first.person.address
    card, device = field.card_of(first.person), device_token(f"family {field.seed} {name}")
    for _ in range(field.pick(4, 7)):
        account = first if field.draw() < 0.5 else second
        day = min(day + field.pick(0, 8), field.calendar.last)
        at = field.at(day, field.second())
        bought = Purchase(account.person, account.number, at, "usual", home, home, device, card)
        field.order("family_card", name, bought, fraud=False)


def mover(field: Field) -> None:
    """Somebody moves, has a new telephone, and furnishes the house."""
    day, name = field.day(), field.incident()
    account = field.member(day - 250)
    if account is None:
        return
    second, home = field.second(4_000), field.elsewhere()
    _change_phone(field, account, mobile_of(9_000_000 + field.chunk * 100 + field.incidents), day, second)
    for n in range(field.pick(1, 2)):
        at = field.at(day, second + 500 + 1_500 * n)
        field.order("mover", name, _own(field, account, day, "large", to=home, billed=home, at=at), fraud=False)


def returner(field: Field) -> None:
    """Orders three sizes and sends two back."""
    account, name = field.member(60), field.incident()
    if account is None:
        return
    day = field.pick(90, field.calendar.last - 200)
    for _ in range(field.pick(8, 12)):
        day = min(day + field.pick(6, 20), field.calendar.last)
        order = field.order("returner", name, _own(field, account, day, "usual"), fraud=False, status="completed")
        if field.draw() < 0.5:
            field.pay_back(order, day + field.pick(6, 14), "Changed mind", "refund", 0.3 + 0.4 * field.draw())


def new_telephone(field: Field) -> None:
    """A loyal customer with a new device and a new card buys something dear, sent home."""
    day, name = field.day(), field.incident()
    account = field.member(day - 250)
    if account is None:
        return
    bought = _own(field, account, day, "large")
    device = device_token(f"upgrade {field.seed} {name}")
    new = Purchase(**{**vars(bought), "device": device, "card": field.new_card()})
    field.order("new_telephone", name, new, fraud=False)


def _own(
    field: Field,
    account: Account,
    day: int,
    basket: str,
    *,
    to: Address | None = None,
    billed: Address | None = None,
    at: str | None = None,
) -> Purchase:
    """With the person's own card and device, billed to their home and sent there unless said otherwise."""
    person = account.person
    home = person.address_on(day)
    device = device_token(f"{person.number} web 0")
    at = at or field.at(day, field.second())
    return Purchase(person, account.number, at, basket, to or home, billed or home, device, field.card_of(person))


def _change_phone(field: Field, account: Account, mobile: str, day: int, second: int) -> None:
    rows = field.batch.rows["sales", "Account"]
    row = rows[account.place]
    rows[account.place] = (*row[:6], _written(mobile), row[7], field.at(day, second))


def _written(mobile: str | None) -> str | None:
    return mobile and f"0{mobile}"


PATTERNS: tuple[tuple[Callable[[Field], None], float], ...] = (
    (card_testing, 2.0),
    (account_takeover, 7.0),
    (refund_abuse, 1.6),
    (reshipping, 1.6),
    (bust_out, 1.6),
    (synthetic_identities, 1.6),
    (christmas, 4.0),
    (office, 1.2),
    (shared_flat, 1.2),
    (family_card, 3.0),
    (mover, 5.0),
    (returner, 2.0),
    (new_telephone, 5.0),
)
"""Each pattern, and how often it is planted among two thousand people."""
