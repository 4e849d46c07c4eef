"""`sv privacy`: the rights of the people in the view, and for how long what is kept."""

import csv
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli import privacy_keys
from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.output import JsonOption, complain, console, errors, print_json, safe, table
from sv_assets.cli.privacy_rights import By, actor_of, consent, objects, rectify, restrict, undo
from sv_assets.errors import ConfigurationError, SvError

if TYPE_CHECKING:
    from sv_assets.access import Actor
    from sv_assets.mongo import Document, Store
    from sv_assets.privacy.evidence import Candidate, Evidence
    from sv_assets.privacy.plan import Plan

app = typer.Typer(
    no_args_is_help=True,
    help="Subject access, erasure, rectification, restriction, objection, consent, and retention.",
)
app.add_typer(privacy_keys.app, name="keys")
Email = Annotated[str | None, typer.Option("--email", help="An e-mail address that the person gave.")]
Phone = Annotated[str | None, typer.Option("--phone", help="A phone number.")]
Born = Annotated[str | None, typer.Option("--born", help="Date of birth: 1980-03-07.")]
PostcodeOption = Annotated[str | None, typer.Option("--postcode", help="Postcode, with --house or --surname.")]
House = Annotated[str | None, typer.Option("--house", help="House number or name.")]
Surname = Annotated[str | None, typer.Option("--surname", help="Surname; it can only speak against somebody.")]
Name = Annotated[str | None, typer.Option("--name", help="Whole name; it can only speak against somebody.")]
Account = Annotated[str | None, typer.Option("--account", help="Account or customer number.")]
Order = Annotated[str | None, typer.Option("--order", help="Order number.")]
Delivery = Annotated[str | None, typer.Option("--delivery", help="Delivery reference.")]
Customer = Annotated[str | None, typer.Option("--customer", help="Customer id; proves nothing by itself.")]
Confirmed = Annotated[
    str | None, typer.Option("--confirmed-by", help="Who has seen other proof, if evidence is short.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; with --confirmed-by: which proof was seen.")]


@app.command()
def access(
    email: Email = None, phone: Phone = None, born: Born = None, postcode: PostcodeOption = None, house: House = None,
    surname: Surname = None, name: Name = None, account: Account = None, order: Order = None, delivery: Delivery = None,
    customer: Customer = None, confirmed_by: Confirmed = None, reason: Reason = "", by: By = "",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the bundle. Without it the request is only filed.")] = None,
    role: AsOption = None, json: JsonOption = False,
) -> None:  # fmt: skip
    """Hand over everything held on a person: JSON, HTML and PDF, with a manifest. Two things given must fit."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import requests

    store = store_from_environment()
    evidence = _evidence(email, phone, born, postcode, house, surname, name, account, order, delivery, customer)
    officer = _officer("access", role, "subject_access", by, reason)
    who = _identified(store, evidence, confirmed_by, json, officer)
    request = requests.file_request(
        store, "access", who, actor=officer.name, role=officer.role, reason=reason, confirmed_by=confirmed_by
    )
    result: Document = {
        "request": request["_id"],
        "proofs": list(who.proofs),
        "confirmed_by": confirmed_by,
        "due_at": request["due_at"],
    }
    if out is not None:
        officer = replace(officer, reason=reason or request["_id"])
        gathered, manifest = requests.answer_access(store, load_catalogue(), request["_id"], out, actor=officer)
        result |= {
            "documents": gathered.documents, "redacted": gathered.redacted, "undeclared": gathered.undeclared,
            "collections": {s.name: len(s.documents) for s in gathered.sections}, "manifest": str(manifest),
        }  # fmt: skip
    if json:
        print_json(result)
        return
    if out is None:
        console.print(
            f"Filed as {request['_id']}, due {request['due_at']:%Y-%m-%d}. The job subject_access answers it, or --out DIR now."
        )
        return
    table(
        f"{request['_id']}: {result['documents']} documents in {out}",
        ["collection", "documents"],
        result["collections"].items(),
    )
    console.print(
        f"Something of other people was taken out of {result['redacted']} of them. The manifest holds the hash of each file."
    )


@app.command("erase")
def erase_person(
    email: Email = None, phone: Phone = None, born: Born = None, postcode: PostcodeOption = None, house: House = None,
    surname: Surname = None, name: Name = None, account: Account = None, order: Order = None, delivery: Delivery = None,
    customer: Customer = None, confirmed_by: Confirmed = None, reason: Reason = "", by: By = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without it, only what would be done is shown.")] = False,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Search every collection and log afterwards.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with every erasure that was stopped half-way.")] = False,
    role: AsOption = None, json: JsonOption = False,
) -> None:  # fmt: skip
    """Erase a person from every collection, file and log; orders stay for the law, without them. Shows a dry run without --yes."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import erase, requests

    store, catalogue = store_from_environment(), load_catalogue()
    if resume:
        done = [
            erase.resume(store, catalogue, begun, verify=verify, advance=_step) for begun in erase.unfinished(store)
        ]
        print_json([_told(one) for one in done]) if json else console.print(
            f"{len(done)} erasures were gone on with, {sum(one.is_done for one in done)} are done."
        )
        _complain_if_found(done)
        return
    evidence = _evidence(email, phone, born, postcode, house, surname, name, account, order, delivery, customer)
    officer = _officer("erase", role, "erasure", by, reason)
    who = _identified(store, evidence, confirmed_by, json, officer)
    if not yes:
        plan = erase.dry_run(store, catalogue, who.customer_id)
        _show_plan(plan, json)
        return
    request = requests.file_request(
        store, "erasure", who, actor=officer.name, role=officer.role, reason=reason, confirmed_by=confirmed_by
    )
    erasure = requests.carry_out_erasure(store, catalogue, request["_id"], verify=verify, advance=_step)
    if json:
        print_json({"request": request["_id"], **_told(erasure)})
    else:
        table(f"{erasure.id}: erased", ["where", "documents"], sorted(erasure.counts.items()))
        for note in erasure.notes:
            console.print(note)
        if erasure.is_done:
            console.print("[bold]sv privacy actions[/] lists what the owners of the legacy systems must do now.")
    _complain_if_found([erasure])


def _complain_if_found(erasures: list[Any]) -> None:
    if places := sorted({place for erasure in erasures for place in erasure.found}):
        complain(
            f"The byte search still found something in {', '.join(places)}, so the erasure is not done. Take it out there (what a run left goes "
            "with the next run), then: sv privacy erase --resume"
        )
        raise typer.Exit(1)


def _told(erasure: Any) -> "Document":
    return {
        "erasure": erasure.id,
        "done": erasure.done,
        "counts": erasure.counts,
        "found": erasure.found,
        "notes": erasure.notes,
    }


def _show_plan(plan: "Plan", json: bool) -> None:
    kept = {key: len(ids) for key, ids in plan.kept.items()}
    if json:
        print_json(
            {
                "dry_run": True,
                "records": plan.joined,
                "counts": plan.counts,
                "kept_for_the_law": kept,
                "neighbours": len(plan.others),
            }
        )
        return
    table("What an erasure would take, or change", ["where", "documents"], sorted(plan.counts.items()))
    table("Of these, kept for the law without the person", ["source", "rows"], kept.items())
    for why, number in plan.joined.items():
        console.print(f"{number} records: {why}")
    console.print(
        f"{len(plan.others)} neighbours stay; what names the person goes out of what is held of them. Nothing was written: add --yes to do it."
    )


@app.command()
def requests(
    customer: Annotated[
        str | None, typer.Option("--customer", help="What this customer had put right or said.")
    ] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that wait for their answer.")] = False,
    role: AsOption = None,
    reason: Reason = "",
    by: By = "",
    json: JsonOption = False,
) -> None:
    """List requests and when their answer is due; of one customer, corrections and statements."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy import requests as filed
    from sv_assets.privacy import rights

    store = store_from_environment()
    if customer:
        found = rights.said_by(store, customer, actor=_officer("requests", role, "rectification", by, reason))
        rows = [
            [
                d.get("_id"),
                d.get("kind"),
                safe(d.get("field") or d.get("purpose") or ""),
                safe(d.get("channel", "")),
                d.get("granted"),
                f"{d['at']:%Y-%m-%d}" if "at" in d else "",
                bool(d.get("undone")),
            ]
            for d in found
        ]
        print_json(found) if json else table(customer, ["id", "kind", "of", "channel", "granted", "at", "undone"], rows)
        return
    found = filed.list_requests(store, only_open=only_open)
    if json:
        print_json(found)
        return
    table(
        "Requests",
        ["id", "kind", "state", "due", "by"],
        [[r["_id"], r["kind"], r["state"], f"{r['due_at']:%Y-%m-%d}", safe(r["actor"])] for r in found],
    )


@app.command()
def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Remove it. Without it, only what would go is shown.")] = False,
    json: JsonOption = False,
) -> None:
    """What is older than retention.yaml allows, by collection; and what is held that nobody declared."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy.declaration import load_declaration, undeclared
    from sv_assets.privacy.retention import enforce

    store, declared = store_from_environment(), load_declaration()
    report, unknown = enforce(store, load_catalogue(), declared, dry_run=not apply), undeclared(store, declared)
    if json:
        print_json({"applied": apply, "removed": report.removed, "undeclared": unknown})
    else:
        table("Removed" if apply else "Would be removed", ["where", "documents"], report.removed.items())
        for name in unknown:
            console.print(f"{name} is not declared in sv_assets/defs/privacy/retention.yaml.")
    if unknown:
        raise typer.Exit(1)


@app.command()
def audience(
    channel: Annotated[str | None, typer.Option("--channel", help="email, sms, phone or post.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write who may be contacted over the channel as CSV.")
    ] = None,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """Bring marketing.audience up to today, prove it, and export a channel of it."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy.audience import COLLECTION, export, refresh_audience, without_consent
    from sv_assets.settings import variable

    if (channel is None) != (out is None):
        raise ConfigurationError("An export needs both: --channel email --out FILE.")
    store = store_from_environment()
    report = refresh_audience(store)
    looked, wrong = without_consent(store)
    if wrong:
        raise SvError(
            f"{wrong} of {looked} channels in marketing.audience lack a consent; nothing was exported. `sv run`, and look again."
        )
    told: Document = {
        "members": store.marketing[COLLECTION].estimated_document_count(),
        "channels": looked,
        "changed": report.written,
    }
    if channel and out:
        named = role or variable("SV_ROLE") or "marketing"
        told["exported"] = export(store, channel, out, actor=actor("privacy audience", named, purpose, reason))
    print_json(told) if json else table("Who may be contacted today", ["", "number"], told.items())


@app.command()
def actions(
    out: Annotated[Path | None, typer.Option("--out", help="Write them as CSV, to give to the owners.")] = None,
    done: Annotated[
        str | None, typer.Option("--done", help="system of an owner who has acted: its actions go.")
    ] = None,
    erasure: Annotated[str | None, typer.Option("--erasure", help="Only those of one erasure.")] = None,
    json: JsonOption = False,
) -> None:
    """What the owners of the legacy systems must do after erasures: which rows, in which tables."""
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy.erasure import ACTIONS
    from sv_assets.privacy.files import private_file

    store = store_from_environment()
    query: Document = {"erasure": erasure} if erasure else {}
    if done:
        gone = store.control[ACTIONS].delete_many({**query, "system": done}).deleted_count
        print_json({"done": gone}) if json else console.print(f"{gone} actions of {done} are done.")
        return
    found = sorted(store.control[ACTIONS].find(query), key=lambda a: (a["system"], a["table"], a["_id"]))
    if out:
        with private_file(out, newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["erasure", "system", "table", "key_columns", "key", "what", "owners", "asked_at"])
            writer.writerows(
                [
                    a["erasure"],
                    a["system"],
                    a["table"],
                    " ".join(a["key_columns"]),
                    a["key"],
                    a["what"],
                    " ".join(a["owners"]),
                    a["asked_at"].isoformat(),
                ]
                for a in found
            )
    if json:
        print_json(found)
    else:
        table(
            "For the owners of legacy systems",
            ["system", "table", "key", "what", "owners"],
            [[a["system"], a["table"], safe(a["key"]), a["what"], " ".join(a["owners"])] for a in found],
        )


@app.command()
def again(
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="Copy of the ledger; by default the file that SV_ERASURE_LEDGER names."),
    ] = None,
    by: By = "",
    json: JsonOption = False,
) -> None:
    """After a backup was restored: take the ledger in, and erase again whoever came back with it."""
    from sv_assets.catalogue import load_catalogue
    from sv_assets.ledger import copy_file, take_in
    from sv_assets.mongo import store_from_environment
    from sv_assets.privacy.erase import erase_again

    store = store_from_environment()
    path = ledger or copy_file()
    added = take_in(store, path) if path is not None and (ledger or path.exists()) else 0
    erased = erase_again(store, load_catalogue(), actor=actor_of(by), advance=_step)
    told = {"ledger_entries_added": added, "erased_again": len(erased)}
    print_json(told) if json else table("After the restore", ["", "number"], told.items())


# --- who it is about --------------------------------------------------------------------------------------------------------


def _evidence(
    email: str | None, phone: str | None, born: str | None, postcode: str | None, house: str | None, surname: str | None,
    name: str | None, account: str | None, order: str | None, delivery: str | None, customer: str | None,
) -> "Evidence":  # fmt: skip
    from sv_assets.privacy.evidence import Evidence

    try:
        date = dt.date.fromisoformat(born) if born else None
    except ValueError:
        raise ConfigurationError("--born is a date: 1980-03-07.") from None
    return Evidence(email, phone, date, postcode, house, surname, name, account, order, delivery, customer)


def _officer(command: str, role: str | None, purpose: str, by: str, reason: str) -> "Actor":
    """Who handles a person's request; who does not say in which role does it as the privacy officer."""
    from sv_assets.access import actor_from_environment
    from sv_assets.privacy.requests import OFFICER
    from sv_assets.settings import variable

    named = role or variable("SV_ROLE") or OFFICER
    who = actor_from_environment(named, purpose, reason or "a person's own request", f"sv privacy {command}")
    return replace(who, name=by or who.name)


def _identified(
    store: "Store", evidence: "Evidence", confirmed_by: str | None, json: bool, officer: "Actor"
) -> "Candidate":
    from sv_assets.privacy.requests import NotProven, identify

    try:
        return identify(store, evidence, confirmed_by=confirmed_by, actor=officer)
    except NotProven as error:
        found = [
            {"customer_id": c.customer_id, "fits": list(c.proofs), "against": list(c.against)} for c in error.candidates
        ]
        if json:
            print_json({"error": str(error), "candidates": found})
        elif found:
            table(
                "Who it may be",
                ["customer", "fits", "speaks against"],
                [[c["customer_id"], ", ".join(c["fits"]), ", ".join(c["against"])] for c in found],
            )
        raise


def _step(name: str) -> None:
    errors.print(f"  {name}", markup=False)


for command in (rectify, restrict, consent, undo):
    app.command()(command)
app.command("object")(objects)
