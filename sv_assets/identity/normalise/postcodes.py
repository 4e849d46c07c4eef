"""Postcodes: the British ones taken apart, all others upper-cased.

Source: Royal Mail, Programmers' Guide to the Postcode Address File, "Postcode format"; British Forces Post Office;
overseas territories by their governments. Foreign codes pass through with no outward part.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from sv_assets.identity.normalise.words import word, words_of

_AREAS = words_of(
    "AB AL B BA BB BD BF BH BL BN BR BS BT BX CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH EN EX "
    "FK FY G GL GU GX GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N NE NG "
    "NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA TD TF TN TQ TR TS TW "
    "UB W WA WC WD WF WN WR WS WV YO ZE"
)
_TERRITORIES = ("AI", "ASCN", "BBND", "BIQQ", "FIQQ", "PCRN", "SIQQ", "STHL", "TDCU", "TKCA")
_BRITISH = words_of(
    "gb gbr uk unitedkingdom unitedkingdomofgreatbritainandnorthernireland greatbritain britain england scotland wales "
    "northernireland gbeng gbsct gbwls gbnir eng sct wls nir "
    "je jey jersey gg ggy guernsey im imn isleofman "
    "gi gib gibraltar fk flk falklandislands gs sgs southgeorgia southgeorgiaandthesouthsandwichislands sh shn sthelena "
    "sainthelena ascension ascensionisland tristandacunha sainthelenaascensionandtristandacunha io iot "
    "britishindianoceanterritory pn pcn pitcairn pitcairnislands tc tca turksandcaicosislands aq ata "
    "britishantarcticterritory bfpo"
)
_SLIPS = str.maketrans("OI", "01")
_UNSLIPPED = str.maketrans("01", "OI")

# In what follows O and I are written 0 and 1, so that a slip of the pen changes nothing.
_AREA_AS_SLIPPED = {area.translate(_SLIPS): area for area in _AREAS}
_WHOLE_AS_SLIPPED = {"G1R0AA": ("GIR", "0AA")} | {
    f"{territory}1ZZ".translate(_SLIPS): (territory, "1ZZ") for territory in _TERRITORIES
}
_DISTRICT = r"[0-9]|[1-9][0-9]|[0-9][ABCDEFGHJKMNPRSTUVWXY]"
_OUTWARD = re.compile(rf"([A-Z01]{{1,2}}?)({_DISTRICT})")
_INWARD = re.compile(r"[0-9][A-Z01]{2}")
_FORCES = re.compile(r"BFP0([0-9]{1,4})")
_CLEAN = re.compile(rf"([A-Z]{{1,2}}(?:{_DISTRICT}))([0-9][A-Z]{{2}})")
_CANADIAN = re.compile(r"[A-Z][0-9][A-Z][0-9][A-Z][0-9]")


class Postcode(NamedTuple):
    """`unit`: the whole canonical text (`SW1A 1AA`). `outward` `SW1A`, `inward` `1AA`, `sector` `SW1A 1`: British ones only."""

    unit: str
    outward: str | None
    inward: str | None
    sector: str | None


@lru_cache(200_000)
def postcode(raw: str, country: str | None = None) -> Postcode | None:
    """A postcode taken apart; None where there is no letter or digit. `country`: ISO 3166 code, name, or None for "see if it is British"."""
    text = " ".join(raw.upper().split())
    compact = "".join(ch for ch in text if ch.isalnum())
    if not compact:
        return None
    nation = word(country) if country else None
    if (nation is None or nation in _BRITISH) and compact.isascii():
        british = None if nation is None and _CANADIAN.fullmatch(compact) else _british(text, compact)
        if british:
            return british
    return Postcode(text, None, None, None)


def _british(text: str, compact: str) -> Postcode | None:
    slipped = compact.translate(_SLIPS)
    if whole := _WHOLE_AS_SLIPPED.get(slipped):
        return _postcode(*whole)
    if clean := _CLEAN.fullmatch(compact):  # as it stands, even where Royal Mail has no such area (yet)
        return _postcode(clean[1], clean[2])
    if forces := _FORCES.fullmatch(slipped):
        return Postcode(f"BFPO {forces[1]}", "BFPO", forces[1], None)
    if _INWARD.fullmatch(slipped[-3:]) and (outward := _outward(slipped[:-3])):
        return _postcode(outward, slipped[-3] + slipped[-2:].translate(_UNSLIPPED))
    first, _, rest = text.partition(" ")
    if len(rest) == 1 and rest.translate(_SLIPS).isdigit() and (outward := _outward(first.translate(_SLIPS))):
        sector = f"{outward} {rest.translate(_SLIPS)}"
        return Postcode(sector, outward, None, sector)
    if outward := _outward(slipped):
        return Postcode(outward, outward, None, None)
    return None


def _postcode(outward: str, inward: str) -> Postcode:
    return Postcode(f"{outward} {inward}", outward, inward, f"{outward} {inward[0]}")


def _outward(slipped: str) -> str | None:
    """`S014` is SO14: the district begins with a digit that is not 0 where two follow, and the area must exist."""
    for letters in (2, 1):
        area = _AREA_AS_SLIPPED.get(slipped[:letters])
        if area and _OUTWARD.fullmatch(slipped) and re.fullmatch(_DISTRICT, slipped[letters:]):
            return area + slipped[letters:]
    return None
