"""The words of British, Irish and Australian addresses: what they are abbreviated to, and what they say.

Sources: Royal Mail, Programmers' Guide (thoroughfare descriptors); AS 4590, street type codes.
"""

STRONG_TYPES = {
    "st": "street str stret", "rd": "road", "ave": "avenue av aven", "ln": "lane", "dr": "drive drv", "cl": "close clo",
    "cres": "crescent cresc crsnt", "tce": "terrace terr ter tce", "way": "wy", "gdns": "gardens gdn gds gards",
    "bvd": "boulevard blvd boul", "pde": "parade", "cct": "circuit circ crct", "hwy": "highway", "esp": "esplanade",
    "mews": "mws", "prom": "promenade", "pkwy": "parkway pwy", "byp": "bypass", "fwy": "freeway", "cswy": "causeway",
    "aly": "alley", "strasse": "", "rue": "",
}  # fmt: skip
"""Words that say "street" wherever they stand, by what they are abbreviated to."""
WEAK_TYPES = {
    "ct": "court crt", "pl": "place", "sq": "square", "gr": "grove gro grv", "pk": "park", "hill": "hl", "rise": "",
    "row": "", "walk": "wlk wk", "view": "vw", "vale": "", "grn": "green", "hts": "heights", "yd": "yard", "qy": "quay quays qys",
    "cir": "circle", "cft": "croft", "end": "", "mdw": "meadow", "mdws": "meadows", "flds": "fields", "field": "",
    "cmn": "common", "gate": "", "path": "", "passage": "", "pass": "", "wharf": "", "bank": "", "loop": "", "cove": "",
    "drove": "", "side": "", "crossing": "", "bridge": "brdg", "broadway": "bdwy", "arcade": "arc", "villas": "vlls",
    "est": "estate", "bldgs": "buildings bldg building", "lees": "", "chase": "", "ridge": "", "garth": "", "wynd": "",
    "brae": "", "dene": "", "dell": "", "glade": "", "glen": "", "copse": "", "fold": "", "mount": "mt",
    "retreat": "", "outlook": "", "vista": "", "link": "", "key": "", "ramble": "", "approach": "", "avenues": "",
}  # fmt: skip
"""Words that can be the kind of a street, and part of the name of another."""
BUILDINGS = frozenset(
    {"hse", "cott", "cotts", "farm", "lodge", "barn", "hall", "bungalow", "rectory", "vicarage", "grange", "mill"}
)
_OTHER_ABBREVIATIONS = {
    "hse": "house", "cott": "cottage", "cotts": "cottages", "flat": "apartment apt appt apartement flt", "st": "saint",
    "gt": "great", "upr": "upper", "lwr": "lower", "floor": "flr", "ste": "suite", "no": "number num nr",
    "ind": "industrial", "bsns": "business",
}  # fmt: skip
ABBREVIATIONS = {
    long: short
    for table in (STRONG_TYPES, WEAK_TYPES, _OTHER_ABBREVIATIONS)
    for short, longs in table.items()
    for long in longs.split()
    if long != short
}
STRONG = frozenset(STRONG_TYPES)
TYPES = STRONG | frozenset(WEAK_TYPES)
UNITS = frozenset(
    {
        "flat",
        "unit",
        "ste",
        "room",
        "rm",
        "studio",
        "maisonette",
        "penthouse",
        "shop",
        "office",
        "villa",
        "chalet",
        "plot",
        "lot",
    }
)
LEVELS = frozenset({"level", "floor", "block", "blk", "tower", "stair", "entrance"})
PLACES_IN_A_HOUSE = frozenset(
    {
        "ground",
        "basement",
        "top",
        "garden",
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "lwr",
        "upr",
        "rear",
        "front",
        "attic",
    }
    | {"1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th"}
)
DIRECTIONS = frozenset({"north", "south", "east", "west"})
