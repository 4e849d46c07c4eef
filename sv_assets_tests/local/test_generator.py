"""The generated retailer before it meets any server: contacts, people, and the rows that come of them."""

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.errors import SvError
from sv_assets.local.generator.calendar import Calendar, datetime_of_thirds, london_stamp
from sv_assets.local.generator.contacts import email_of, landline_of, mobile_of, with_typo
from sv_assets.local.generator.people import Person, draws, people
from sv_assets.local.generator.rows import Batch, Ids, payment_uuid
from sv_assets.local.generator.seed import generate
from sv_assets.local.generator.tick import next_span
from sv_assets.local.generator.words import TOWNS

CALENDAR = Calendar(date(2026, 11, 20))
numbers = st.integers(1, 3_000_000)


@pytest.fixture(scope="module")
def population() -> list[Person]:
    return people(7, 0, 1, 4_000, CALENDAR)


@pytest.fixture(scope="module")
def batch() -> Batch:
    return next(generate(2_000, 7, CALENDAR, Ids()))


@given(numbers, numbers, st.booleans())
def test_mobiles_are_valid_and_belong_to_one_person(one: int, other: int, old: bool) -> None:
    parsed = phonenumbers.parse(mobile_of(one, old=old), "GB")
    assert phonenumbers.is_valid_number(parsed)
    assert phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE
    assert mobile_of(one, old=old) != mobile_of(one, old=not old)
    assert one == other or mobile_of(one, old=old) != mobile_of(other, old=old)


@given(st.sampled_from(TOWNS), st.integers(1, 699_999), st.integers(1, 699_999))
def test_landlines_are_valid_and_belong_to_one_household(town, one: int, other: int) -> None:  # type: ignore[no-untyped-def]
    assert phonenumbers.is_valid_number(phonenumbers.parse(landline_of(town, one), "GB"))
    assert one == other or landline_of(town, one) != landline_of(town, other)


@given(numbers, numbers, st.integers(0, 100))
def test_emails_are_valid_and_belong_to_one_person_even_mistyped(one: int, other: int, seed: int) -> None:
    draw = draws(seed)
    mine, theirs = email_of(one, "Zoë", "O'Neill", draw), email_of(other, "Zoë", "O'Neill", draw)
    validate_email(mine, check_deliverability=False)
    assert one == other or len({mine, theirs, with_typo(mine, draw), with_typo(theirs, draw)} & {theirs}) == 1
    assert one == other or mine != with_typo(theirs, draw)


@given(st.text(), st.integers(0, 50))
def test_typing_errors_leave_digits_alone(text: str, seed: int) -> None:
    digits = [c for c in text if not c.isalpha()]
    assert [c for c in with_typo(text, draws(seed)) if not c.isalpha()] == digits


@given(st.datetimes(date_min := datetime(2020, 1, 1), datetime(2029, 1, 1)))
def test_datetime_keeps_thirds_of_hundredths(moment: datetime) -> None:
    assert datetime_of_thirds(london_stamp(moment.replace(tzinfo=UTC)))[-1] in "037"


def test_a_chunk_of_people_can_be_made_again() -> None:
    assert people(7, 3, 6_001, 50, CALENDAR) == people(7, 3, 6_001, 50, CALENDAR)
    assert people(7, 3, 6_001, 50, CALENDAR) != people(8, 3, 6_001, 50, CALENDAR)


def test_population_has_the_traps(population: list[Person]) -> None:
    households: dict[str, list[Person]] = {}
    for person in population:
        if person.landline:
            households.setdefault(person.landline, []).append(person)
    shared = [members for members in households.values() if len(members) > 1]
    names = [Counter((p.first, p.last) for p in members).most_common(1)[0][1] for members in shared]
    assert len(shared) > 300
    assert sum(n > 1 for n in names) >= 5, "fathers and sons of one name at one landline"
    emails = Counter(p.email for p in population if p.email)
    assert 10 < sum(n > 1 for n in emails.values()) < 200, "couples that share an e-mail"
    assert sum(p.old_address is not None for p in population) > 200
    assert sum(p.old_last is not None for p in population) > 50
    assert 0.80 < sum(p.in_crm for p in population) / len(population) < 0.90
    assert 0.55 < sum(p.in_sales for p in population) / len(population) < 0.65
    assert 0.30 < sum(p.in_web for p in population) / len(population) < 0.40


def test_totals_lines_and_payments_add_up(batch: Batch) -> None:
    lines, paid = Counter[int](), Counter[int]()
    for row in batch.rows["sales", "OrderLine"]:
        lines[row[0]] += round(100 * row[6])
    for row in batch.rows["sales", "Payment"]:
        paid[row[1]] += round(100 * row[4]) if row[5] != "failed" else 0
    for row in batch.rows["sales", "OrderHeader"]:
        total = round(100 * row[13])
        assert total - lines[row[0]] in (0, 399, 699)
        assert paid[row[0]] == total
        assert row[15] >= row[10], "modified before it was ordered"


def test_local_times_exist_and_end_yesterday(batch: Batch) -> None:
    london = ZoneInfo("Europe/London")
    for row in batch.rows["sales", "OrderHeader"]:
        moment = datetime.fromisoformat(row[10])
        assert moment.replace(tzinfo=london).astimezone(UTC).astimezone(london).replace(tzinfo=None) == moment
        assert "2024-11-20" <= row[10] <= row[15] < "2026-11-20"


def test_two_calls_start_on_a_day_that_does_not_exist(batch: Batch) -> None:
    spoilt = [row for row in batch.rows["contactcentre", "Call"] if row[5][5:10] == "02-31"]
    assert len(spoilt) == 2
    assert all(row[1] is not None for row in spoilt)


def test_web_events_come_unreadable_doubled_and_out_of_order(batch: Batch) -> None:
    bodies = [message.body for message in batch.messages if message.group is None]
    events, unreadable = [], 0
    for body in bodies:
        try:
            events.append(json.loads(body))
        except ValueError:
            unreadable += 1
    assert unreadable == 3
    assert sum("id" not in event["account"] for event in events) == 1
    assert 0.04 < sum(n - 1 for n in Counter(bodies).values()) / len(bodies) < 0.12
    seen: dict[str, int] = {}
    late = 0
    for event in events:
        account = event["account"].get("id", "")
        late += event["version"] < seen.get(account, 0)
        seen[account] = max(seen.get(account, 0), event["version"])
    assert late > 10


def test_a_parcels_events_are_sent_in_order(batch: Batch) -> None:
    seen: dict[str, int] = {}
    for message in batch.messages:
        if message.group is not None:
            event = json.loads(message.body)
            assert event["order_number"] == message.group
            assert event["sequence"] == seen.get(event["parcel"], 0) + 1
            seen[event["parcel"]] = event["sequence"]
    assert len(seen) > 100


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_payment_ids_rise(one: int, other: int) -> None:
    assert (payment_uuid(one) < payment_uuid(other)) == (one < other)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.integers(0, 400), st.integers(1, 500))
def test_the_clock_of_a_tick_moves_on_and_stays_behind_the_real_one(
    start: datetime, minutes: int, changes: int
) -> None:
    clock = start.replace(tzinfo=UTC)
    now = clock + timedelta(minutes=minutes)
    try:
        begin, step = next_span(clock, now, changes)
    except SvError:
        assert minutes < 125
        return
    instants = [begin + step * (n + 1) / changes for n in range(changes)]
    assert instants[-1] <= now - timedelta(minutes=2)
    before = london_stamp(clock)
    if clock.astimezone(ZoneInfo("Europe/London")).fold == 0:
        assert all(london_stamp(instant) > before for instant in instants)
    assert [london_stamp(i) for i in instants] == sorted(london_stamp(i) for i in instants)
