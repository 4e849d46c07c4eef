"""Names of people, given in parts or in one piece.

Which of two names is the first is believed as given; that somebody swapped them is for the comparison to consider.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from sv_assets.identity.normalise.words import word, words_of

_TITLES: dict[str, Literal["m", "f"] | None] = {
    "mr": "m", "mister": "m", "sir": "m", "lord": "m", "master": "m", "mstr": "m", "messrs": "m", "herr": "m",
    "mrs": "f", "miss": "f", "ms": "f", "mme": "f", "madam": "f", "madame": "f", "lady": "f", "dame": "f", "frau": "f",
    "baroness": "f", "mesdames": "f",
    "mx": None, "dr": None, "doctor": None, "prof": None, "professor": None, "rev": None, "revd": None,
    "reverend": None, "hon": None, "cllr": None, "councillor": None, "capt": None, "captain": None, "col": None,
    "colonel": None, "lt": None, "sgt": None, "maj": None, "major": None, "rabbi": None,
}  # fmt: skip
_NAMES_TOO = frozenset({"lord", "master", "major", "captain", "rabbi"})
_AND = frozenset({"&", "+", "and", "und", "et"})
_SUFFIXES = {
    "jr": "jr", "jnr": "jr", "junior": "jr", "sr": "sr", "snr": "sr", "senior": "sr",
    "ii": "2", "2nd": "2", "iii": "3", "3rd": "3", "iv": "4", "4th": "4",
}  # fmt: skip
_HONOURS = words_of("esq esquire obe mbe cbe kbe dbe gbe phd dphil bsc msc frcs mrcs qc kc jp mp")
_SURNAMES_TOO = _HONOURS | {"junior", "senior"}
_PARTICLES = words_of(
    "van von vom zu zum zur de der den del della dell di da do das dos du des la las los le les ten ter te st saint "
    "al el bin ibn bint abu af av ap ab fitz mac mc"
)
_FIRST_NAMES_TOO = frozenset({"van", "von", "della", "di", "del", "al", "el", "le", "mac"})
_MEANINGFUL = frozenset(_TITLES) | _AND | frozenset(_SUFFIXES) | _HONOURS | _PARTICLES
_TOKEN = re.compile(r"[&+]|[^\s.,;:/\\()\[\]{}<>\"“”„«»*_|&+]+")
_HYPHENS = re.compile(r"[-‐‑‒–—―−﹣－]+")


class PersonName(NamedTuple):
    """A name in its compared form: lower-case letters and digits, without diacritics and punctuation.

    `first`: the first given name (`Anne-Marie` is `annemarie`). `others`: further given names or initials. `last`: the
    whole surname (`De La Cruz` is `delacruz`), `last_parts` what it is made of. `gender`: what the title says, unless it
    says both. `suffix`: jr, sr, 2, 3 or 4.
    """

    first: str | None = None
    others: tuple[str, ...] = ()
    last: str | None = None
    last_parts: tuple[str, ...] = ()
    gender: Literal["m", "f"] | None = None
    suffix: str | None = None


def person_name(
    *,
    title: str | None = None,
    first: str | None = None,
    middle: str | None = None,
    last: str | None = None,
    full: str | None = None,
) -> PersonName:
    """The compared form of a name in parts, or in one piece where no part says anything (`Mrs Jane Smith`, `Smith, Jane`)."""
    if not (first or middle or last):
        return _plain_full(title, full or "") or _in_one_piece(title, full or "")
    given, further, surname = _plain(first), _plain(middle), _plain_surname(last)
    if given is not None and further is not None and surname is not None and (given or surname):
        return _of_words(given + further, surname, _gender(title) if title else None)
    return _in_parts(title, first, middle, last) or _in_one_piece(title, full or "")


def _plain(text: str | None) -> list[str] | None:
    """The folded words of ASCII text in which none has a meaning of its own; None for all else."""
    if not text:
        return []
    if text.isalpha() and text.isascii():
        words = [text.lower()]
    else:
        words = text.lower().replace("-", "").replace(".", " ").split()
        if not text.isascii() or not "".join(words).isalpha():
            return None
    return words if _MEANINGFUL.isdisjoint(words) else None


def _plain_surname(text: str | None) -> list[str] | None:
    return _plain(text.replace("-", " ").replace("'", "")) if text else []


def _of_words(given: list[str], surname: list[str], gender: Literal["m", "f"] | None) -> PersonName:
    return PersonName(given[0] if given else None, tuple(given[1:]), "".join(surname) or None, tuple(surname), gender)


def _in_parts(title: str | None, first: str | None, middle: str | None, last: str | None) -> PersonName | None:
    """None where neither a given name nor a surname comes out."""
    titles = _tokens(title or "")
    given = _tokens(first or "")
    surname = _tokens(last or "")
    if last and surname and not given and ("," in last or (len(surname) > 1 and _is_title(surname[0]))):
        name = _in_one_piece(title, last)
        return name._replace(others=(*name.others, *_words(_tokens(middle or ""))))
    given = _behind_titles(given, titles)
    given, suffix = _before_suffix(given)
    more, suffix_of_middle = _before_suffix(_tokens(middle or ""), least=0)
    surname = _behind_titles(surname, titles) if len(surname) > 1 else surname
    surname, suffix_of_last = _before_suffix(surname)
    name = _composed(titles, [*given, *more], surname, suffix_of_last or suffix_of_middle or suffix)
    return name if name.first or name.last else None


def _in_one_piece(title: str | None, full: str) -> PersonName:
    titles = _tokens(title or "")
    before, _, after = full.partition(",")
    tokens, suffix = _before_suffix(_behind_titles(_tokens(before), titles), least_for_names=2)
    given, suffix_behind = _before_suffix(_behind_titles(_tokens(after), titles), least=0)
    while len(given) > 1 and _is_title(given[-1]):
        titles.append(given.pop())
    if given and tokens:
        return _composed(titles, given, tokens, suffix or suffix_behind)
    tokens = tokens or given
    start = _start_of_surname(tokens)
    return _composed(titles, tokens[:start], tokens[start:], suffix or suffix_behind)


def _plain_full(title: str | None, full: str) -> PersonName | None:
    """The name in ASCII text that is at most one title and two or more words without a meaning of their own."""
    head, _, behind = full.strip().partition(" ")
    leading = head.lower().rstrip(".") in _TITLES
    given, _, last = (behind if leading else full).strip().rpartition(" ")
    words, surname = _plain(given), _plain_surname(last)
    if not words or not surname or "." in last:
        return None
    titles = f"{title or ''} {head}" if leading else title
    return _of_words(words, surname, _gender(titles) if titles else None)


def _start_of_surname(tokens: list[str]) -> int:
    """Where the surname begins: at the last word, or at the particles before it (`Vincent | van Gogh`, `| de la Cruz`)."""
    start = max(len(tokens) - 1, 0)
    while start and word(tokens[start - 1]) in _PARTICLES:
        start -= 1
    return 1 if start == 0 and len(tokens) == 2 and word(tokens[0]) in _FIRST_NAMES_TOO else start


def _composed(titles: list[str], given: list[str], surname: list[str], suffix: str | None) -> PersonName:
    first, *others = _words(given) or (None,)
    parts = _words([part for token in surname for part in _HYPHENS.split(token)])
    last = parts[0] if len(parts) == 1 else word("".join(parts))
    return PersonName(first, tuple(o for o in others if o), last, parts, _gender_of(titles), suffix)


def _tokens(text: str) -> list[str]:
    return [token for token in _TOKEN.findall(text) if token in _AND or word(token)]


def _words(tokens: list[str]) -> tuple[str, ...]:
    """Folded words up to an "and": of `John & Jane` the name is John."""
    words: list[str] = []
    for token in tokens:
        if words and token.lower() in _AND:
            break
        if folded := word(token):
            words.append(folded)
    return tuple(words)


def _is_title(token: str) -> bool:
    return word(token) in _TITLES


def _behind_titles(tokens: list[str], titles: list[str]) -> list[str]:
    """The tokens behind the titles (`Mr & Mrs`), which are added to `titles`."""
    for start, token in enumerate(tokens):
        folded = word(token)
        is_last = start == len(tokens) - 1
        if folded in _TITLES and not (is_last and folded in _NAMES_TOO):
            titles.append(token)
        elif not (start and token.lower() in _AND):
            return tokens[start:]
    return []


def _before_suffix(tokens: list[str], *, least: int = 1, least_for_names: int = 1) -> tuple[list[str], str | None]:
    """The tokens before `Jr`, `III` or `MBE`, and what generation that is.

    `least` tokens stay in any case; `least_for_names` stay where the suffix can be a surname (Jane Senior).
    """
    suffix = None
    while len(tokens) > least:
        folded = word(tokens[-1])
        if folded not in _SUFFIXES and folded not in _HONOURS:
            break
        if folded in _SURNAMES_TOO and len(tokens) <= least_for_names:
            break
        suffix = _SUFFIXES.get(folded or "") or suffix
        tokens = tokens[:-1]
    return tokens, suffix


@lru_cache(1_000)
def _gender(title: str) -> Literal["m", "f"] | None:
    return _gender_of(_tokens(title))


def _gender_of(titles: list[str]) -> Literal["m", "f"] | None:
    genders = {_TITLES.get(word(token) or "") for token in titles} - {None}
    return genders.pop() if len(genders) == 1 else None
