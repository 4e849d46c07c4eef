"""Why two records are one person, or are not: everything that was weighed, by comparison, with the values side by side.

What is not stored is found again: the pair is weighed with the applied settings and model whether or not a run would
compare it, so that "why not" has an answer, too. An explanation holds personal data: it is for who asks, never for a log.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sv_assets.access import Actor, Attempt, permission
from sv_assets.errors import SvError
from sv_assets.identity import pictures
from sv_assets.identity.blocking import SAME_FORM, rule_of
from sv_assets.identity.comparisons import NULL, Comparison
from sv_assets.identity.customer_ids import STATION
from sv_assets.identity.decisions import Pair, pairs_in_force
from sv_assets.identity.division import CERTAIN, DECIDED, IDENTICAL
from sv_assets.identity.linking import found_links, link_id
from sv_assets.identity.resolution import Applied, applied_now, identifiers
from sv_assets.identity.scoring import score
from sv_assets.identity.workbench import Prepared, form_hash, open_workbench
from sv_assets.mongo import Document, Store, find_many

EXPLAINED = "explained.pair"
"""Under this name the declaration of roles says what is seen of an explanation."""
BY_RECORD = Attempt(("record",))
EVERYTHING = -1000.0
"""No pair weighs less."""
GUARDS = {
    "conflict": "what tells two people of one household apart differs",
    "name_alone": "nothing but the names agrees, which must weigh more",
    "ambiguous": "another record, who is someone else, is as near",
    "bridge": "it would be the only link between two groups of several records, and is not strong",
    "size": "the customer would have more records than a person has, and the link is not strong",
    "density": "the records of the customer hang together by few of their possible links",
}
"""What each guard saw, in words."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What one comparison says. `bits` (against strangers) and `household` are those of the level; `rarity` adds to both.

    `level` is `null` where there is nothing to compare. `left` and `right` are the values compared, as they are compared.
    """

    comparison: str
    level: str
    bits: float
    rarity: float
    household: float | None
    household_rarity: float
    left: str | None
    right: str | None


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A blocking key that both records have. Where it is `capped`, too many `records` have it for it to be looked at."""

    rule: str
    value: str
    records: int
    at_most: int
    capped: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a chain, from a record to the next one."""

    records: tuple[str, str]
    weight: float
    rules: list[str]


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the applied settings and model say of a pair now. `household` is None where the model knows no households."""

    weight: float
    strangers: float
    household: float | None
    start: float
    start_household: float | None
    rules: list[str]
    conflict: str | None
    name_alone: bool
    comparisons: list[Compared]


@dataclass(frozen=True)
class PairExplained:
    """Two records, and why they are one person or are not.

    `link` is what is stored (`{weight, rules, model}`), `weighed` what comes out now; `decision` is the one in force;
    `guards` are the items of the review list about the pair; `chain` leads from one to the other within one customer.
    """

    records: Pair
    customers: tuple[str | None, str | None]
    verdict: str
    one_customer: bool
    model: str
    threshold: float
    caution: float
    link: Document | None
    weighed: Weighed
    decision: Document | None
    guards: list[Document]
    keys: list[SharedKey]
    chain: list[Step]
    notes: list[str] = field(default_factory=list)


def explain_pair(store: Store, a: str, b: str, *, actor: Actor) -> PairExplained:
    """Explain two party records, as the actor may see it. What it does not see is masked, or None.

    Raises SvError where a record is not there, or nothing has been decided yet; AccessRefused where the actor may not ask,
    TransientError where it cannot be written down that it did.
    """
    if a == b:
        raise SvError("That is one record. Name two different ones, or a customer.")
    allowed = permission(store, actor, EXPLAINED, BY_RECORD)
    applied = what_is_applied(store)
    records = party_records(store, [a, b])
    weighed = weigh(store, applied, records.values(), [(a, b)])[0]
    pair = explain_known(store, applied, records[a], records[b], weighed)
    allowed.log(store, [customer for customer in pair.customers if customer], BY_RECORD)
    return allowed.seen_of(pair)


def explain_known(store: Store, applied: Applied, a: Document, b: Document, weighed: Weighed) -> PairExplained:
    """The same for records that have been read and weighed; whole, for who shows it to see to."""
    pair = (a["_id"], b["_id"])
    link = store.identity["links"].find_one({"_id": link_id(*pair)}, {"_id": 0, "weight": 1, "rules": 1, "model": 1})
    decisions = pairs_in_force(store, pair)
    found = decisions.get((min(pair), max(pair)))
    customers = (a.get("customer_id"), b.get("customer_id"))
    one_customer = customers[0] is not None and customers[0] == customers[1]
    deleted = [record["_id"] for record in (a, b) if record["deleted"]]
    explained = PairExplained(
        records=pair,
        customers=customers,
        verdict="",
        one_customer=one_customer and not deleted,
        model=applied.model.version,
        threshold=applied.settings.threshold,
        caution=applied.settings.household_caution,
        link=link,
        weighed=weighed,
        decision=decision_shown(found) if found else None,
        guards=guards_about(store, [pair[0]], [pair[1]]),
        keys=_shared_keys(store, applied, a, b),
        chain=_chain(store, str(customers[0]), *pair) if one_customer and not deleted else [],
        notes=_notes(store, applied, a, b, link, weighed),
    )
    if deleted:
        verdict = (
            f"Not one person: {' and '.join(deleted)} {'was' if len(deleted) == 1 else 'were'} deleted at the source."
        )
    else:
        verdict = _verdict(store, applied, explained, STATION in (*_pending(a), *_pending(b)))
    return replace(explained, verdict=verdict)


def what_is_applied(store: Store) -> Applied:
    """What decides now. Raises SvError before the first run."""
    applied = applied_now(store)
    if applied is None:
        raise SvError("Nothing has been decided yet who is who. `sv run` does it for what has landed.")
    return applied


def party_records(store: Store, wanted: Sequence[str]) -> dict[str, Document]:
    """These party records, in the order given. Raises SvError where one is not there."""
    found = {record["_id"]: record for record in find_many(store.identity["party_records"], "_id", wanted)}
    if missing := [record for record in wanted if record not in found]:
        raise SvError(
            f"There is no party record {missing[0]}. Its id is system.table:key, as in crm.customer:100001; "
            "`sv identity explain` with a customer shows its records."
        )
    return {record: found[record] for record in wanted}


def decision_shown(decision: Document) -> Document:
    """What is shown of a decision."""
    return {"id": decision["_id"], **{name: decision[name] for name in ("kind", "actor", "reason", "at")}}


def guards_about(store: Store, one: Sequence[str], other: Sequence[str]) -> list[Document]:
    """What the review list holds about pairs of these records, the heaviest first."""
    left, right = set(one), set(other)
    found = {item["_id"]: item for item in find_many(store.identity["review"], "records", one)}
    return [
        {name: item[name] for name in ("guard", "records", "weight", "reason", "detail", "since")}
        for item in sorted(found.values(), key=lambda item: -item["weight"])
        if item["guard"] != "density" and left.intersection(item["records"]) and right.intersection(item["records"])
    ]


# --- weighing -----------------------------------------------------------------------------------------------------------


def weigh(store: Store, applied: Applied, records: Iterable[Document], pairs: Sequence[Pair]) -> list[Weighed]:
    """What the applied settings and model say of pairs of these records now, on a workbench of their own."""
    known = {record["_id"]: record for record in records}
    model = applied.model
    # One pair is no work for a cluster of machines.
    engine = applied.settings.engine.model_copy(update={"backend": "duckdb"})
    settings = applied.settings.model_copy(update={"engine": engine})
    with open_workbench(settings, {*identifiers(store), *model.identifiers}) as bench:
        bench.add(Prepared(record, document["compared"], []) for record, document in known.items())
        numbers = {record: number for number, record in enumerate(known)}
        bench.bury(_dead_values(store, known.values()))
        bench.name(_named(store, known))
        bench.quote((r["_id"], quote["record"]) for r in known.values() for quote in r["quotes"] if quote["record"])
        bench.quote((r, q["record"]) for r, d in known.items() for q in d["quotes"] if q["record"] in known)
        rows = sorted({tuple(sorted((numbers[a], numbers[b]))) for a, b in pairs})
        bench.connection.executemany("insert into pair values (?, ?)", rows)
        score(bench, model, least=EVERYTHING)
        found: dict[str, Document] = {}
        for link in found_links(bench, model):
            before = found.setdefault(link["_id"], link)
            if before is not link:
                rules = [*link["rules"], *before["rules"]]
                found[link["_id"]] = {**before, "rules": rules, "weight": max(link["weight"], before["weight"])}
    return [_weighed(applied, found[link_id(a, b)], known[a], known[b]) for a, b in pairs]


def _weighed(applied: Applied, link: Document, a: Document, b: Document) -> Weighed:
    model = applied.model
    evidence = {entry["comparison"]: entry for entry in link["evidence"]}
    compared = []
    for comparison in model.comparisons:
        said = evidence.get(comparison.name)
        names = [level.name for level in comparison.observed]
        household = None
        if model.households is not None:
            household = model.levels[comparison.name][names.index(said["level"])].against_household if said else 0.0
        rarity = float(said["rarity"] or 0.0) if said else 0.0
        compared.append(
            Compared(
                comparison=comparison.name,
                level=said["level"] if said else NULL,
                bits=said["bits"] if said else 0.0,
                rarity=rarity,
                household=None if household is None else round(household, 3),
                household_rarity=rarity if household is not None and not comparison.shared else 0.0,
                left=_value(comparison, a["compared"]),
                right=_value(comparison, b["compared"]),
            )
        )
    return Weighed(
        weight=link["weight"],
        strangers=link["strangers"],
        household=link["household"],
        # As Splink starts: from the odds among all pairs.
        start=round(math.log2(model.matches / (1 - model.matches)), 3),
        start_household=None if model.start_against_household is None else round(model.start_against_household, 3),
        rules=link["rules"],
        conflict=link["conflict"],
        name_alone=link["name_alone"],
        comparisons=compared,
    )


def _value(comparison: Comparison, form: Document) -> str | None:
    """What is compared, in one line."""
    columns = {"first_name": ("given", "others"), "surname": ("last",), "address": ("places", "text")}.get(
        comparison.name
    )
    if columns is None:
        columns = tuple(c for c in comparison.columns if c not in ("folded", "postcode", "town"))
    if comparison.name.startswith("id_"):
        values = form.get("ids", {}).get(comparison.name.removeprefix("id_"), [])
    else:
        values = []
        for column in columns:
            value = form.get(column)
            values += value if isinstance(value, list) else [value] if value else []
            if values and comparison.name == "address":
                break
    return ", ".join(values) or None


def _dead_values(store: Store, records: Iterable[Document]) -> list[str]:
    """The values of these records that are no evidence, as `<column>:<value>`."""
    values = {
        f"{column}:{value}"
        for record in records
        for column in ("emails", "mobiles", "lines")
        for value in record["compared"].get(column, ())
    }
    for record in records:
        for name, own in record["compared"].get("ids", {}).items():
            values.update(f"id_{name}:{value}" for value in own)
    return sorted(value["_id"] for value in find_many(store.identity["dead_values"], "_id", sorted(values)))


def _named(store: Store, known: Mapping[str, Document]) -> list[Pair]:
    """What the records name, but for live records that are not at hand: those link to each end, not the ends to each other."""
    named = [(record, target) for record, document in known.items() for target in document["same_as"]]
    elsewhere = {target for _, target in named} - known.keys()
    live = {r["_id"] for r in find_many(store.identity["party_records"], "_id", elsewhere) if not r["deleted"]}
    return [(record, target) for record, target in named if target not in live]


# --- what stands around it ----------------------------------------------------------------------------------------------


def _shared_keys(store: Store, applied: Applied, a: Document, b: Document) -> list[SharedKey]:
    keys = sorted({key for key in a["keys"] if key[0].isdigit()}.intersection(b["keys"]))
    collection = store.identity["party_records"]
    shared = []
    for key in keys:
        rule = rule_of(key, applied.settings)
        records = collection.count_documents({"keys": key})
        capped = records > SAME_FORM * rule.at_most
        if not capped and records > rule.at_most:
            forms = {form_hash(record["compared"]) for record in collection.find({"keys": key}, {"compared": 1})}
            capped = len(forms) > rule.at_most
        shared.append(SharedKey(rule.name, key.partition(":")[2], records, rule.at_most, capped))
    return shared


def _chain(store: Store, customer: str, a: str, b: str) -> list[Step]:
    """The way from one record to another over the strongest links of their customer; empty where there is none."""
    records = [
        record["_id"]
        for record in store.identity["party_records"].find({"customer_id": customer}, {"deleted": 1})
        if not record["deleted"]
    ]
    inside = set(records)
    steps = [
        Step((link["ends"][0], link["ends"][1]), link["weight"], link["rules"])
        for link in {link["_id"]: link for link in find_many(store.identity["links"], "ends", records)}.values()
        if inside.issuperset(link["ends"])
    ]
    steps += [
        Step(pair, 10 * CERTAIN, [DECIDED])
        for pair, decision in pairs_in_force(store, records).items()
        if decision["kind"] == "same" and inside.issuperset(pair)
    ]
    ways: dict[str, dict[str, Step]] = {record: {} for record in records}
    group = {record: {record} for record in records}
    for step in sorted(steps, key=lambda step: (-step.weight, step.records)):
        x, y = step.records
        if group[x] is not group[y]:
            ways[x][y] = ways[y][x] = step
            group[x] |= group[y]
            for record in group[y]:
                group[record] = group[x]
    came: dict[str, list[Step]] = {a: []}
    waiting = [a]
    for record in waiting:
        for other, step in ways.get(record, {}).items():
            if other not in came:
                came[other] = [*came[record], Step((record, other), step.weight, step.rules)]
                waiting.append(other)
    return came.get(b, [])


def _notes(
    store: Store, applied: Applied, a: Document, b: Document, link: Document | None, weighed: Weighed
) -> list[str]:
    notes = [f"{record['_id']} waits for the next run." for record in (a, b) if STATION in _pending(record)]
    if link is not None and IDENTICAL not in link["rules"] and abs(link["weight"] - weighed.weight) > 0.01:
        notes.append(
            f"The stored link weighs {link['weight']:.2f} bits, by model {link['model']}: the records, or what is applied, have "
            "changed since."
        )
    columns = {"emails": "e-mail", "mobiles": "mobile number", "lines": "landline"}
    for value in _dead_values(store, [a, b]):
        column, _, text = value.partition(":")
        name = columns.get(column, column.removeprefix("id_").replace("_", " "))
        notes.append(f"The {name} {text} is used by too many people and is no evidence.")
    if weighed.conflict and not applied.model.households:
        notes.append("The model has found no households in the data: a conflict stops nothing.")
    return notes


def _pending(record: Document) -> Sequence[str]:
    return list(record["_sv"].get("pending", ()))


# --- the verdict --------------------------------------------------------------------------------------------------------


def _verdict(store: Store, applied: Applied, pair: PairExplained, pending: bool) -> str:
    """One sentence that says what is decided, and what decided it."""
    if pair.decision is not None:
        return _by_decision(pair)
    return _why_one(pair, pending) if pair.one_customer else _why_not(store, applied, pair, pending)


def _by_decision(pair: PairExplained) -> str:
    decision = pair.decision or {}
    wanted = decision["kind"] == "same"
    by = f"by decision of {decision['actor']} on {decision['at']:%d %B %Y} ({decision['id']})"
    says = f"{'One person' if wanted else 'Not one person'}, {by}"
    if pair.one_customer == wanted:
        return f"{says}."
    return f"{says}; it is not carried out yet, the next run does it."


def _why_one(pair: PairExplained, pending: bool) -> str:
    if pair.link is not None and len(pair.chain) <= 1:
        return f"One person: {_linked(pair.link)} (threshold {pair.threshold:g})."
    if pair.chain:
        way = " – ".join([pair.chain[0].records[0], *(step.records[1] for step in pair.chain)])
        also = f" They are linked themselves as well: {_linked(pair.link)}." if pair.link is not None else ""
        return f"One person, by way of {len(pair.chain) - 1} other record{'s' * (len(pair.chain) > 2)}: {way}.{also}"
    return "One customer still, though nothing links them any more" + ("; the next run decides." if pending else ".")


def _why_not(store: Store, applied: Applied, pair: PairExplained, pending: bool) -> str:
    weighed = pair.weighed
    if pair.link is not None:
        if pair.guards:
            item = pair.guards[0]
            detail = item["detail"].replace("_", " ")
            if item["guard"] == "conflict" and weighed.conflict is None:
                detail += ", in other records of the two customers"
            saw = f"{GUARDS[item['guard']]}{f' ({detail})' if detail else ''}"
            return f"Not one person: {_linked(pair.link)}, but the guard {item['guard']} stopped that: {saw}."
        if keeping := _kept_apart_by(store, pair):
            return f"Not one person: {_linked(pair.link)}, but their customers are kept apart by decision ({keeping})."
        if pending:
            return f"Not one customer yet: {_linked(pair.link)}; the next run decides."
        return f"Not one person: {_linked(pair.link)}, but between their customers a stronger reason keeps them apart."
    if not weighed.rules:
        says = f"Not one person: what agrees and what differs weigh {weighed.weight:.2f} bits (threshold {pair.threshold:g})"
        return f"{says}{_household(pair)}{_never_compared(pair)}."
    if pending:
        return f"Not one customer yet: {_now(weighed)}; the next run decides."
    if not any(not key.capped for key in pair.keys):
        return f"Not one person, although {_now(weighed)}{_never_compared(pair)}."
    return (
        f"Not one person, although {_now(weighed)}: nothing of that is stored. `sv identity rerun` looks at all again."
    )


def _linked(link: Document) -> str:
    return f"{_listed(link['rules'])} link{'s' * (len(link['rules']) == 1)} them with {link['weight']:.2f} bits"


def _now(weighed: Weighed) -> str:
    return f"{_listed(weighed.rules)} would link them with {weighed.weight:.2f} bits"


def _household(pair: PairExplained) -> str:
    weighed = pair.weighed
    if weighed.household is None or weighed.strangers < pair.threshold:
        return ""
    return f": they are no strangers ({weighed.strangers:.2f} bits), but may well be two people of one household ({weighed.household:.2f} bits)"


def _never_compared(pair: PairExplained) -> str:
    if not pair.keys:
        return "; they share no blocking key, so that no run compares them"
    if all(key.capped for key in pair.keys):
        return "; too many records share each blocking key that they have in common, so that no run compares them"
    return ""


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _kept_apart_by(store: Store, pair: PairExplained) -> str | None:
    """A decision that keeps the customers of the two records apart."""
    fields = {"_id": 1}
    one, other = (
        {r["_id"] for r in store.identity["party_records"].find({"customer_id": customer}, fields)}
        for customer in pair.customers
    )
    for (a, b), decision in pairs_in_force(store, one).items():
        if decision["kind"] == "not_same" and ((a in one and b in other) or (b in one and a in other)):
            return str(decision["_id"])
    return None


# --- the page -----------------------------------------------------------------------------------------------------------


def as_page(pair: PairExplained) -> str:
    """The explanation as one HTML file, with the waterfall of its evidence."""
    weighed = pair.weighed
    left, right = (_source(record) for record in pair.records)
    steps = [pictures.Step(c.comparison, c.level, c.bits, c.rarity, c.left, c.right) for c in weighed.comparisons]
    household = None
    if weighed.start_household is not None:
        at_home = [
            pictures.Step(c.comparison, c.level, c.household or 0.0, c.household_rarity, c.left, c.right)
            for c in weighed.comparisons
        ]
        household = pictures.Weighing(weighed.start_household, at_home)
    decision = pair.decision
    kinds = {"same": "one person", "not_same": "not one person"}
    return pictures.waterfall(
        pictures.Explanation(
            left=left,
            right=right,
            verdict=pair.verdict,
            weight=pair.link["weight"] if pair.link else None,
            threshold=pair.threshold,
            strangers=pictures.Weighing(weighed.start, steps),
            household=household,
            caution=pair.caution,
            rules=weighed.rules,
            conflicts=[weighed.conflict] if weighed.conflict else [],
            decision=f"{kinds[decision['kind']]}, by {decision['actor']}: {decision['reason']}" if decision else None,
            model=pair.model,
            notes=pair.notes or [],
        )
    )


def _source(record: str) -> pictures.Record:
    source, _, key = record.partition(":")
    system, _, table = source.partition(".")
    return pictures.Record(system, table, key)
