"""Which first names can be one person's. The table is `nicknames.txt` beside this module.

Source: common knowledge of English, Scottish, Welsh, Irish and Polish diminutives in Britain; extend it freely.
"""

from pathlib import Path

from rapidfuzz.distance import JaroWinkler

_SLIP = 0.9
"""Jaro-Winkler similarity from which two names of four letters and more count as a slip of the pen."""


def _read_table(text: str) -> dict[str, frozenset[str]]:
    formal_names: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            formal, _, others = line.partition(":")
            for name in (formal, *others.split()):
                formal_names.setdefault(name, {name}).add(formal)
    return {name: frozenset(formal) for name, formal in formal_names.items()}


_FORMAL_NAMES = _read_table(Path(__file__).with_name("nicknames.txt").read_text("utf-8"))


def nickname_groups(first: str) -> frozenset[str]:
    """The formal names that a folded first name may stand for, itself included: `chris` is a Christopher and a Christine."""
    return _FORMAL_NAMES.get(first) or frozenset((first,))


def same_first_name(a: str, b: str) -> bool:
    """True if two folded first names can be one person's: equal, an initial, nicknames of one name, or a slip of the pen."""
    if a == b or (min(len(a), len(b)) == 1 and a[0] == b[0]):
        return True
    if not nickname_groups(a).isdisjoint(nickname_groups(b)):
        return True
    return min(len(a), len(b)) >= 4 and JaroWinkler.similarity(a, b) >= _SLIP
