"""What people do without thinking: the devices that they order with, and the gifts that they send.

All of it follows from the person and the order, without a draw: so an estate has the same people and orders with and
without it.
"""

import random

from sv_assets.local.generator.people import Address, Person, an_address
from sv_assets.local.generator.words import TOWNS

_GIFTS = 0.05
_FRIENDS = 2


def device_of(person: Person, order: int, channel: str) -> str | None:
    """The token of the browser or telephone: one of two or three of the person's own. None in stores and on the telephone."""
    if channel not in ("web", "app"):
        return None
    chance = random.Random(f"device {person.number} {person.born} {order}")
    number = person.card_owner if chance.random() < 0.1 else person.number  # the family's computer
    return device_token(f"{number} {channel} {0 if chance.random() < 0.85 else 1}")


def device_token(name: str) -> str:
    """As the shop's tracking gives it out."""
    return f"d-{random.Random(f'token {name}').getrandbits(64):016x}"


def delivered_to(person: Person, home: Address, order: int) -> Address:
    """Home; one parcel in twenty is a gift, half of them to one of the same two friends."""
    chance = random.Random(f"gift {person.number} {person.born} {order}")
    if chance.random() >= _GIFTS:
        return home
    if chance.random() < 0.5:
        chance = random.Random(f"friend {person.number} {person.born} {int(chance.random() * _FRIENDS)}")
    return an_address(TOWNS[int(chance.random() * len(TOWNS))], chance.random)
