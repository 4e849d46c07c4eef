"""E-mails, phone numbers and names as people own them, and the many ways in which systems write them down.

Every number and address that is *owned* is unique to its owner by construction (a bijection of the owner's number), so
that two people share one only where the generator means them to. Typing errors never touch the digits.
"""

from sv_assets.local.generator.calendar import Draw
from sv_assets.local.generator.words import EMAIL_DOMAINS, PLACEHOLDER_EMAILS, PLACEHOLDER_PHONES, Town

_MOBILE_PREFIXES = ("7300", "7354", "7402", "7450", "7505", "7561", "7710", "7758", "7802", "7340")
_OLD_MOBILE_PREFIXES = ("7306", "7360", "7408", "7456", "7512", "7567", "7716", "7764", "7795", "7348")
_FOLD = str.maketrans(
    "áàâäãåāăąéèêëēęěíìîïīóòôöõøúùûüūýçčćñńßśšřžźżŁłÁÉÍÓÚÖÜŚŠŽŻŘ",
    "aaaaaaaaaeeeeeeeiiiiioooooouuuuuycccnnssSrzzzLlAEIOUOUSSZZR",
)


def mobile_of(person: int, *, old: bool = False) -> str:
    """The national number without its leading 0 (ten digits); unique for ten million people."""
    prefixes = _OLD_MOBILE_PREFIXES if old else _MOBILE_PREFIXES
    return f"{prefixes[person % 10]}{(person // 10 * 387_421 + 214_013) % 1_000_000:06d}"


def landline_of(town: Town, household: int) -> str:
    """The national number without its leading 0; unique in a town for households numbered below 700,000."""
    local = 200_000 + (household * 386_117 + 51_749) % 700_000
    return f"{town.dialling}{local}" if len(town.dialling) == 4 else f"{town.dialling}{local}5"


def email_of(person: int, first: str, last: str, draw: Draw) -> str:
    """An e-mail that nobody else has: the person's number is in it."""
    f, s = ascii_letters(first) or "x", ascii_letters(last) or "x"
    n = 7 * person + 13
    shape = int(draw() * 5)
    local = (f"{f}.{s}{n}", f"{f[0]}{s}.{n}", f"{f}{n}", f"{s}_{f}{n}", f"{f}.{s}.{n}")[shape]
    return f"{local}@{EMAIL_DOMAINS[int(draw() * len(EMAIL_DOMAINS))]}"


def ascii_letters(name: str) -> str:
    """Lower-case ASCII letters of a name: what people type into an e-mail address."""
    return "".join(c for c in name.translate(_FOLD).lower() if "a" <= c <= "z")


def with_typo(text: str, draw: Draw) -> str:
    """Two neighbouring letters swapped, or one dropped. Digits keep their order and number."""
    places = [i for i in range(1, len(text) - 1) if text[i].isalpha() and text[i + 1].isalpha()]
    if not places:
        return text
    i = places[int(draw() * len(places))]
    if draw() < 0.5 and text[i] != text[i + 1]:
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]
    return text[:i] + text[i + 1 :]


def email_as_written(email: str | None, old: str | None, draw: Draw) -> str | None:
    """How one system holds an e-mail: mostly right, else missing, a placeholder, outdated, mistyped, or untidy."""
    r = draw()
    if r > 0.17 and email is not None:
        return email
    if email is None:
        if r < 0.3:
            return PLACEHOLDER_EMAILS[int(draw() * len(PLACEHOLDER_EMAILS))]
        return None if r < 0.85 else ""
    if r < 0.03:
        return None
    if r < 0.04:
        return ""
    if r < 0.055:
        return PLACEHOLDER_EMAILS[int(draw() * len(PLACEHOLDER_EMAILS))]
    if r < 0.085:
        return old or email
    if r < 0.10:
        return with_typo(email, draw)
    if r < 0.13:
        return email.upper()
    if r < 0.155:
        return email[0].upper() + email[1:].replace("@example", "@Example")
    return f" {email}" if r < 0.162 else f"{email} "


def phone_as_written(number: str | None, draw: Draw) -> str | None:
    """How one system holds a phone number: with or without spaces, +44, 0044, or not at all."""
    r = draw()
    if number is None:
        if r < 0.06:
            return PLACEHOLDER_PHONES[int(draw() * len(PLACEHOLDER_PHONES))]
        return None if r < 0.8 else ""
    if r < 0.42:
        return f"0{number}"
    if r < 0.68:
        return f"0{number[:4]} {number[4:]}"
    if r < 0.78:
        return f"+44 {number[:4]} {number[4:]}"
    if r < 0.84:
        return f"+44{number}"
    if r < 0.87:
        return f"0044{number}"
    if r < 0.90:
        return f"(0{number[:4]}) {number[4:7]} {number[7:]}"
    if r < 0.92:
        return f"0{number[:4]}-{number[4:7]}-{number[7:]}"
    if r < 0.93:
        return f"+44 (0){number}"
    if r < 0.945:
        return PLACEHOLDER_PHONES[int(draw() * len(PLACEHOLDER_PHONES))]
    return None if r < 0.99 else ""


def name_as_written(name: str, draw: Draw) -> str:
    """Mostly right; sometimes shouted, mistyped, stripped of its accents, or with a blank behind."""
    r = draw()
    if r > 0.08:
        return name
    if r < 0.03:
        return name.upper()
    if r < 0.045:
        return with_typo(name, draw)
    if r < 0.055:
        return f"{name} "
    if r < 0.065:
        return name.lower()
    return name.translate(_FOLD)
