"""Letters without case and diacritics, in any script.

Latin, Greek and Cyrillic lose their accents. The vowel signs of Indic and South-East Asian scripts are combining marks
too, but they are letters of the name and stay. Source: Unicode, canonical combining classes (UAX #44, table 15).
"""

import unicodedata
from functools import lru_cache

_APOSTROPHES = "'`´‘’‛′＇ʹʺʻʼʽʾʿˈˊˋ"
_NO_APOSTROPHES = dict.fromkeys(map(ord, _APOSTROPHES))
_LETTERS = _NO_APOSTROPHES | {
    ord(letter): plain
    for letter, plain in {
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i", "ŧ": "t",
        "ŋ": "ng", "ĸ": "k", "ɓ": "b", "ɖ": "d", "ɗ": "d", "ƙ": "k", "ƴ": "y", "ə": "a", "ǝ": "a", "ɛ": "e", "ɔ": "o",
        "ƒ": "f", "ɨ": "i", "ʉ": "u", "ȷ": "j", "ꞌ": "",
    }.items()
}  # fmt: skip
_VOWEL_SIGNS = frozenset({0, 7, 8, 9, 84, 91, 103, 107, 118, 122, 129, 130, 132})
"""Combining classes of the marks that spell a name: vowel signs, nukta, voicing, virama, and Thai and Lao tones."""
_INVISIBLE = frozenset({0x034F, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)})


def words_of(text: str) -> frozenset[str]:
    """The words of a blank-separated list."""
    return frozenset(text.split())


def word(raw: str) -> str | None:
    """A name part: lower case, letters and digits only, diacritics folded (`O'Brien-Núñez` is `obriennunez`)."""
    return raw.lower() if raw.isascii() and raw.isalnum() else _word(raw)


@lru_cache(100_000)
def _word(raw: str) -> str | None:
    text = folded(raw)
    if not text.isalnum():
        text = unicodedata.normalize("NFKD", "".join(ch for ch in text if ch.isalnum() or _is_vowel_sign(ch)))
    return text if any(ch.isalnum() for ch in text) else None


def folded(raw: str) -> str:
    """Lower case without diacritics and typographic apostrophes; punctuation and blanks stay."""
    return raw.lower() if raw.isascii() else _folded(raw)


@lru_cache(50_000)
def _folded(raw: str) -> str:
    bare = unicodedata.normalize("NFKD", raw.translate(_NO_APOSTROPHES))
    letters = unicodedata.normalize("NFKD", bare.casefold()).translate(_LETTERS)
    kept = "".join(ch for ch in letters if not _is_mark(ch) or _is_vowel_sign(ch))
    return unicodedata.normalize("NFKD", kept)


def _is_mark(ch: str) -> bool:
    return unicodedata.category(ch) in ("Mn", "Mc", "Me")


def _is_vowel_sign(ch: str) -> bool:
    return (
        unicodedata.category(ch) in ("Mn", "Mc")
        and unicodedata.combining(ch) in _VOWEL_SIGNS
        and ord(ch) not in _INVISIBLE
    )
