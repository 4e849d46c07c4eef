"""Link documents: what is kept of each pair of records that may be one person, and why.

`{_id: "<a>|<b>", ends: [a, b], weight, strangers, household, rules, evidence, name_alone, conflict, model, hash}`. `rules` names
what links the pair, the strongest first: `given_by_source`, `identical`, `quoted_order`, a declared rule, `model`. `evidence` is one entry a
comparison, `{comparison, level, bits, rarity}`: bits against strangers, and what rarity of the value adds or takes.
"""

from collections.abc import Iterable, Iterator

from sv_assets.identity.division import CERTAIN, GIVEN, IDENTICAL, MODEL, QUOTED, Link
from sv_assets.identity.model import Model
from sv_assets.identity.workbench import Workbench
from sv_assets.mongo import Document, content_hash

MOST_IDENTICAL = 20_000
"""More records that say the very same than this are not taken for one person's."""


def link_id(a: str, b: str) -> str:
    return "|".join(sorted((a, b)))


def as_link(document: Document) -> Link:
    """The link as division sees it."""
    a, b = document["ends"]
    return Link(a, b, document["weight"], document["rules"][0], document["name_alone"], document["conflict"])


def found_links(bench: Workbench, model: Model) -> Iterator[Document]:
    """The documents of all links between the records on the workbench: scored, identical, and given (see `name`)."""
    given, quoted, worth = set(_given(bench)), set(_quoted(bench)), bench.settings.quoted_order
    for document in _scored(bench, model):
        ends = (document["ends"][0], document["ends"][1])
        if ends in given:
            given.discard(ends)
            document = {**document, "rules": [GIVEN, *document["rules"]], "weight": CERTAIN}
        if ends in quoted:
            quoted.discard(ends)
            first = [GIVEN] if GIVEN in document["rules"] else []
            rules = [*first, QUOTED, *(rule for rule in document["rules"] if rule != GIVEN)]
            document = {**document, "rules": rules, "weight": max(document["weight"], worth)}
        yield _hashed(document)
    for a, b in sorted(quoted - given):
        yield _hashed(_certain(a, b, QUOTED, worth, model))
    for a, b in sorted(given):
        yield _hashed(_certain(a, b, GIVEN, CERTAIN, model))
    for a, b in _identical(bench):
        if (a, b) not in given:
            yield _hashed(_certain(a, b, IDENTICAL, CERTAIN - 1, model))


def _scored(bench: Workbench, model: Model) -> Iterator[Document]:
    reasons = [rule.name for rule in bench.settings.rules]
    compared = [(c.name, [level.name for level in c.observed], c.frequency) for c in model.comparisons]
    bits = {name: [level.against_strangers for level in levels] for name, levels in model.levels.items()}
    columns = [f"level_{name}" for name, _, _ in compared] + [f"rarity_{name}" for name, _, rare in compared if rare]
    version = model.version
    rows = bench.execute(
        f"""
        select least(a.id, b.id), greatest(a.id, b.id), weight, strangers, household, rule, model_weight,
            name_alone, conflict, {", ".join(columns)}
        from scored join name_of a on a.n = l join name_of b on b.n = r
        """
    )
    while batch := rows.fetchmany(50_000):
        for a, b, weight, strangers, household, rule, model_weight, name_alone, conflict, *rest in batch:
            evidence = []
            rarities = iter(rest[len(compared) :])
            for (name, levels, rare), level in zip(compared, rest, strict=False):
                rarity = next(rarities) if rare else 0.0
                if level is not None:
                    evidence.append(
                        {
                            "comparison": name,
                            "level": levels[level],
                            "bits": round(bits[name][level], 3),
                            "rarity": rarity if level == 0 else 0.0,
                        }
                    )
            rules = [] if rule is None else [reasons[rule]]
            if model_weight >= bench.settings.threshold:
                rules.append(MODEL)
            yield {
                "_id": link_id(a, b),
                "ends": [a, b],
                "weight": weight,
                "strangers": strangers,
                "household": household,
                "rules": rules,
                "evidence": evidence,
                "name_alone": name_alone,
                "conflict": conflict,
                "model": version,
            }


def _identical(bench: Workbench) -> Iterator[tuple[str, str]]:
    """Records that say the very same, each with the next one by id."""
    rows = bench.execute(
        f"""
        select * from (
            select lag(id) over (partition by identical order by id) as a, id as b,
                count(*) over (partition by identical) as same
            from record join name_of using (n) where identical is not null
        ) where a is not null and same <= {MOST_IDENTICAL}
        """
    )
    while batch := rows.fetchmany(50_000):
        for a, b, _ in batch:
            yield a, b


def _given(bench: Workbench) -> Iterator[tuple[str, str]]:
    """What sources say themselves: the record that one names, or where that is not there, all that name it, in a chain."""
    rows = bench.execute(
        """
        select least(named.id, target), greatest(named.id, target) from named join name_of on name_of.id = named.target
        where named.id <> target
        union
        select least(a, b), greatest(a, b) from (
            select lag(id) over (partition by target order by id) as a, id as b
            from named where target not in (select id from name_of)
        ) where a is not null and a <> b
        """
    ).fetchall()
    yield from rows


def _quoted(bench: Workbench) -> Iterator[tuple[str, str]]:
    """Who names an order, and who placed it, if their names go together: a surname in common, and first names alike."""
    rows = bench.execute(
        """
        select distinct least(q.id, q.target), greatest(q.id, q.target) from quoted q
        join name_of a on a.id = q.id join record x on x.n = a.n
        join name_of b on b.id = q.target join record y on y.n = b.n
        where q.id <> q.target and list_has_any(x.surnames, y.surnames) and coalesce(x.identical <> y.identical, true)
            and (x.first is null or y.first is null or list_has_any(x.nicknames, y.nicknames) or x.first[1] = y.first[1])
        """
    ).fetchall()
    yield from rows


def _certain(a: str, b: str, rule: str, weight: float, model: Model) -> Document:
    return {
        "_id": link_id(a, b),
        "ends": [a, b],
        "weight": weight,
        "strangers": None,
        "household": None,
        "rules": [rule],
        "evidence": [],
        "name_alone": False,
        "conflict": None,
        "model": model.version,
    }


def _hashed(document: Document) -> Document:
    return {**document, "hash": content_hash(document)[:16]}


def reasons(links: Iterable[Document]) -> dict[str, int]:
    """How many links each rule holds up, by its name."""
    counts: dict[str, int] = {}
    for link in links:
        for rule in link["rules"]:
            counts[rule] = counts.get(rule, 0) + 1
    return counts
