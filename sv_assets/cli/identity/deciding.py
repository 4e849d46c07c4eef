"""`sv identity merge, split, undo, decisions`: what humans decide, which wins over every rule and model."""

import getpass
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, actor
from sv_assets.cli.output import JsonOption, complain, console, lines, print_json, safe, table
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from sv_assets.identity.decisions import Decided
    from sv_assets.mongo import Document, Store

_Reason = Annotated[str, typer.Option("--reason", help="Why. It is kept for ever: write no personal data.")]
_Actor = Annotated[str | None, typer.Option("--actor", help="Who decides. Default: the user of this machine.")]
_Later = Annotated[bool, typer.Option("--later", help="Leave it to the next run to carry it out.")]
KINDS = {"same": "one person", "not_same": "not one person"}


def merge(
    a: Annotated[str, typer.Argument(help="A record (crm.customer:100001) or a customer, whose anchor it then is.")],
    b: Annotated[str, typer.Argument(help="The other one.")],
    reason: _Reason,
    actor: _Actor = None,
    later: _Later = False,
    json: JsonOption = False,
) -> None:
    """Decide that two records, or two customers, are one person. The older customer keeps its id. Exit code 1 if refused.

    No rule, model or guard takes it back: only `sv identity undo`. Refused is what contradicts other decisions.
    """
    from sv_assets.identity import decisions
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    _carry_out(store, lambda: decisions.merge(store, a, b, actor=_who(actor), reason=reason), later, json)


def split(
    a: Annotated[str, typer.Argument(help="A record, or a customer together with --records.")],
    b: Annotated[str | None, typer.Argument(help="The other record.")] = None,
    records: Annotated[
        str | None, typer.Option("--records", help="Of a customer, the records to take out of it, with commas between.")
    ] = None,
    *,
    reason: _Reason,
    actor: _Actor = None,
    later: _Later = False,
    json: JsonOption = False,
) -> None:
    """Decide that two records are not one person; or that some records of a customer are none with its other ones.

    The part with the customer's first record keeps its id. Exit code 1 if refused: what contradicts other decisions.
    """
    from sv_assets.identity import decisions
    from sv_assets.mongo import store_from_environment

    if (b is None) == (records is None) or (records is not None) == decisions.is_record(a):
        raise ConfigurationError(
            "Give two records (split A B), or a customer and which go (split CUSTOMER --records A,B)."
        )
    if b is not None and not decisions.is_record(b):
        raise ConfigurationError(f"{b} is no record. Two customers are two people already.")
    store, who = store_from_environment(), _who(actor)
    named = [record.strip() for record in (records or "").split(",") if record.strip()]

    def act() -> "Document":
        if b is not None:
            return decisions.decide(store, "not_same", a, b, actor=who, reason=reason)
        return decisions.split(store, a, named, actor=who, reason=reason)

    _carry_out(store, act, later, json)


def undo(
    decision: Annotated[str, typer.Argument(help="The decision, as `sv identity decisions` shows it.")],
    reason: _Reason,
    actor: _Actor = None,
    later: _Later = False,
    json: JsonOption = False,
) -> None:
    """Take back a decision: the evidence decides again. An id that became an alias stays one."""
    from sv_assets.identity import decisions
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    _carry_out(store, lambda: decisions.undo(store, decision, actor=_who(actor), reason=reason), later, json)


def decisions(
    record: Annotated[str | None, typer.Option("--record", help="Only those about this record.")] = None,
    export: Annotated[Path | None, typer.Option("--export", help="Write all of them here, as lines of JSON.")] = None,
    import_from: Annotated[
        Path | None, typer.Option("--import", help="Take over those of an export, and carry them out.")
    ] = None,
    later: _Later = False,
    role: AsOption = None,
    purpose: PurposeOption = None,
    why: Annotated[str | None, typer.Option("--reason", help="Why you look: a case number.")] = None,
    json: JsonOption = False,
) -> None:
    """What humans decided, the newest first, and what was taken back. Or write them to a file, or take them over from one.

    Who is who can be made anew from its records and this file: the same people come out.
    """
    from sv_assets.access import permission
    from sv_assets.identity.decisions import list_decisions
    from sv_assets.mongo import store_from_environment

    if sum(option is not None for option in (record, export, import_from)) > 1:
        raise ConfigurationError("Give one of --record, --export and --import.")
    store = store_from_environment()
    if export is not None:
        _export(store, export, json)
    elif import_from is not None:
        _import(store, import_from, later, json)
    else:
        allowed = permission(store, actor("identity decisions", role, purpose, why), "explained.customer")
        found = [_listed(one) for one in list_decisions(store, record)]
        allowed.log(store, sorted({customer for one in found for customer in one["customers"] if customer}))
        seen = [allowed.fields.below("decisions", one, {}) for one in found]
        print_json(seen) if json else _show_decisions(seen)


def _who(actor: str | None) -> str:
    return getpass.getuser() if actor is None else actor


def _carry_out(store: "Store", act: "Callable[[], Document]", later: bool, json: bool) -> None:
    """Decide, let the run of identity do what follows from it, and say what became of the records."""
    from sv_assets.identity.resolution import refresh_identities

    decision = act()
    records, before = _around(store, decision)
    if not later:
        refresh_identities(store)
    after = _customers(store, records)
    after |= _customers(store, _records_of(store, after.values()))  # who came along
    found = _events(store, {*before.values(), *after.values()})
    events = [event for event in found if event["at"] >= decision["at"]]
    if json:
        print_json(
            {
                "decision": decision["_id"],
                "kind": decision["kind"],
                "records": decision["records"],
                "carried_out": not later,
                "before": _by_customer(before),
                "after": _by_customer(after),
                "events": [{name: e[name] for name in ("kind", "customer_ids", "records")} for e in events],
            }
        )
        return
    what = f"{decision['of']} taken back" if decision["kind"] == "undo" else decision["_id"]
    console.print(f"Decision {what}, by {safe(decision['actor'])}.")
    if later:
        console.print("The next run carries it out: [bold]sv run[/].")
        return
    _show_parts("Before", before)
    _show_parts("After", after)
    for event in events:
        console.print(f"{event['kind']}: {', '.join(event['customer_ids'])}")
    if before == after:
        console.print("It changes no customer now, and holds from now on.")
    else:
        console.print("Next: [bold]sv run[/] brings customers and orders up to date.")
    _complain_if_not_so(decision, after)


def _around(store: "Store", decision: "Document") -> tuple[list[str], dict[str, str | None]]:
    """The records that may move: those decided about, and all that share a customer with one of them."""
    records = sorted({*_records_of(store, decision["customers"]), *decision["records"]})
    return records, _customers(store, records)


def _records_of(store: "Store", customers: "Iterable[str | None]") -> list[str]:
    """The live records of these customers."""
    wanted = {"customer_id": {"$in": sorted({customer for customer in customers if customer})}}
    found = store.identity["party_records"].find(wanted, {"deleted": 1})
    return sorted(record["_id"] for record in found if not record["deleted"])


def _customers(store: "Store", records: list[str]) -> "dict[str, str | None]":
    from sv_assets.mongo import find_many

    found = find_many(store.identity["party_records"], "_id", records, {"customer_id": 1})
    return {record["_id"]: record.get("customer_id") for record in sorted(found, key=lambda record: str(record["_id"]))}


def _events(store: "Store", customers: "set[str | None]") -> "list[Document]":
    from sv_assets.mongo import find_many

    found = find_many(store.identity["events"], "customer_ids", sorted(c for c in customers if c))
    return sorted({e["_id"]: e for e in found}.values(), key=lambda e: (e["at"], str(e["_id"])))


def _by_customer(customers: dict[str, str | None]) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for record, customer in sorted(customers.items()):
        parts.setdefault(customer or "none yet", []).append(record)
    return parts


def _show_parts(title: str, customers: dict[str, str | None]) -> None:
    parts = _by_customer(customers)
    table(title, ["customer", "records"], [[customer, lines(records)] for customer, records in parts.items()])


def _complain_if_not_so(decision: "Document", after: dict[str, str | None]) -> None:
    if decision["kind"] == "undo":
        return
    one, other = ({after.get(record) for record in side} for side in decision["sides"])
    if (decision["kind"] == "same") == (not one & other):
        complain(
            f"It did not come to that: look at it with `sv identity explain {decision['records'][0]} {decision['records'][-1]}`."
        )


def _listed(decided: "Decided") -> dict[str, Any]:
    decision, taken_back = decided.decision, decided.undo
    return {
        "id": decision["_id"],
        "kind": decision["kind"],
        "sides": decision["sides"],
        "customers": decision["customers"],
        "actor": decision["actor"],
        "reason": decision["reason"],
        "at": decision["at"],
        "state": "in force" if decided.in_force else "taken back",
        "undo": {name: taken_back[name] for name in ("actor", "reason", "at")} if taken_back else None,
    }


def _show_decisions(found: "list[Document]") -> None:
    if not found:
        console.print("Nobody has decided anything.")
        return
    rows = []
    for one in found:
        sign = " = " if one.get("kind") == "same" else " ≠ "
        records = sign.join(", ".join(side) for side in one.get("sides", ()))
        undone = one.get("undo")
        state = f"taken back by {undone.get('actor')}: {undone.get('reason')}" if undone else one.get("state")
        at = f"{one['at']:%Y-%m-%d %H:%M}" if "at" in one else ""
        rows.append([one.get("id"), at, safe(records), safe(one.get("actor")), safe(one.get("reason")), safe(state)])
    table(f"{len(found)} decisions", ["decision", "when", "records", "by", "reason", "state"], rows)


def _export(store: "Store", path: Path, json: bool) -> None:
    from sv_assets.identity.replay import export_decisions

    lines = list(export_decisions(store))
    try:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
    if json:
        print_json({"file": str(path), "lines": len(lines)})
    else:
        console.print(f"{len(lines):,} decisions and undos written to {safe(str(path))}.")


def _import(store: "Store", path: Path, later: bool, json: bool) -> None:
    from sv_assets.identity.replay import import_decisions
    from sv_assets.identity.resolution import refresh_identities

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}."
        ) from None
    imported = import_decisions(store, lines)
    details = {} if later else refresh_identities(store).details
    if json:
        print_json({**asdict(imported), "carried_out": not later, "details": details})
        return
    console.print(f"{imported.added:,} decisions and undos taken over; {imported.there:,} were there already.")
    if imported.erased:
        console.print(f"{imported.erased:,} name somebody who was erased since; they were left out.")
    if imported.absent:
        console.print(f"{len(imported.absent):,} records that they name have not landed; they count when those do.")
    if not later and imported.added:
        console.print(
            f"{details.get('customers_merged', 0):,} customers merged, {details.get('customers_split', 0):,} split. "
            "Next: [bold]sv run[/] brings customers and orders up to date."
        )
