"""`sv identity explain`: why two records are one person or are not, and all about one customer."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.output import JsonOption, console, lines, print_json, safe, table
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from sv_assets.identity.explain import PairExplained
    from sv_assets.identity.explain_customer import Between, CustomerExplained
    from sv_assets.mongo import Document


def explain(
    a: Annotated[str, typer.Argument(help="A party record (crm.customer:100001) or a customer.")],
    b: Annotated[str | None, typer.Argument(help="Another one. Without it, the customer is explained.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the evidence of the pair here, as one HTML page.")] = None,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """Why two records are one person or are not, with every value compared; or all about one customer.

    The values compared are shown as the role may see them. Exit code 1 if there is no such record or customer.
    """
    from sv_assets.identity.decisions import is_record
    from sv_assets.identity.explain import explain_pair
    from sv_assets.identity.explain_customer import explain_between, explain_customer
    from sv_assets.mongo import store_from_environment

    if b is None and html is not None:
        raise ConfigurationError("A page is about two records: sv identity explain A B --html FILE.")
    store = store_from_environment()
    who = actor("identity explain", role, purpose, reason)
    if b is None:
        about = explain_customer(store, a, actor=who)
        if json:
            print_json(asdict(about))
        else:
            _show_customer(about)
        return
    pair: PairExplained | None
    if is_record(a) and is_record(b):
        pair = explain_pair(store, a, b, actor=who)
        found = asdict(pair)
    else:
        between = explain_between(store, a, b, actor=who)
        pair, found = between.pair, asdict(between)
        if not json:
            _show_between(between)
    if html is not None:
        _write_page(pair, html)
        found["html"] = str(html)
    if json:
        print_json(found)
        return
    if pair is not None:
        _show_pair(pair)
    if html is not None:
        console.print(f"The page is {safe(str(html.resolve()))}. It holds personal data.", soft_wrap=True)


def _write_page(pair: "PairExplained | None", path: Path) -> None:
    from sv_assets.identity.explain import as_page

    if pair is None:
        raise ConfigurationError("A page is about two records of different customers, or two records.")
    try:
        # For its owner alone: it holds personal data.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(as_page(pair))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None


def _show_pair(pair: "PairExplained") -> None:
    from sv_assets.identity.comparisons import NULL
    from sv_assets.identity.pictures import comparison_in_words, level_in_words

    weighed = pair.weighed
    console.print(safe(pair.verdict), style="bold", soft_wrap=True)
    console.print()
    a, b = pair.records
    at_home = weighed.household is not None
    rows: list[list[Any]] = [
        ["before anything is compared", "", "", "", _bits(weighed.start), _bits(weighed.start_household)]
    ]
    for c in weighed.comparisons:
        nothing = c.level == NULL
        household = None if nothing or c.household is None else c.household + c.household_rarity
        agreement = level_in_words(c.comparison, c.level)
        if abs(c.rarity) >= 0.05:
            agreement += ", a rare value" if c.rarity > 0 else ", a frequent value"
        rows.append(
            [comparison_in_words(c.comparison), safe(c.left), safe(c.right), agreement, "" if nothing else _bits(c.bits + c.rarity), _bits(household)]
        )  # fmt: skip
    rows.append(["together", "", "", "", _bits(weighed.strangers), _bits(weighed.household)])
    columns = ["comparison", safe(a), safe(b), "agreement", "bits against strangers", "bits against household"]
    kept = len(columns) if at_home else len(columns) - 1
    table("What is compared", [str(c) for c in columns[:kept]], [row[:kept] for row in rows])
    household_says = (
        f", {weighed.household - pair.caution:.2f} against the household" if weighed.household is not None else ""
    )
    by_rule = ", ".join(weighed.rules) or "none"
    facts: list[list[Any]] = [
        ["weight", f"{weighed.weight:.2f} bits ({weighed.strangers:.2f} against strangers{household_says}); threshold {pair.threshold:g}"],
        ["rules that hold", by_rule],
        ["stored link", f"{pair.link['weight']:.2f} bits, by {', '.join(pair.link['rules'])}" if pair.link else "none"],
        ["conflict", weighed.conflict or "none"],
        ["names alone", weighed.name_alone],
        ["customers", " and ".join(customer or "none yet" for customer in dict.fromkeys(pair.customers))],
        ["decided by a human", _decided(pair.decision)],
        ["model", pair.model],
    ]  # fmt: skip
    table("What counts", ["", ""], facts)
    if pair.guards:
        table(
            "For review",
            ["guard", "it saw", "bits"],
            [[g["guard"], g["detail"], float(g["weight"])] for g in pair.guards],
        )
    if pair.keys:
        keys = [
            [key.rule, safe(key.value), key.records, "too many: left out" if key.capped else f"of {key.at_most}"]
            for key in pair.keys
        ]
        table("Blocking keys that both have", ["rule", "value", "records", ""], keys)
    else:
        console.print("They share no blocking key.\n")
    if len(pair.chain) > 1:
        steps = [[safe(s.records[0]), safe(s.records[1]), float(s.weight), ", ".join(s.rules)] for s in pair.chain]
        table("What holds them together", ["from", "to", "bits", "rules"], steps)
    for note in pair.notes or []:
        console.print(safe(note))


def _bits(bits: float | None) -> str:
    return "" if bits is None else f"{bits:+.2f}"


def _decided(decision: "Document | None") -> str:
    if decision is None:
        return "no"
    kind = "one person" if decision["kind"] == "same" else "not one person"
    return f"{kind}, {decision['at']:%Y-%m-%d}, by {safe(decision['actor'])}: {safe(decision['reason'])} ({decision['id']})"


def _show_between(between: "Between") -> None:
    console.print(safe(between.verdict), style="bold", soft_wrap=True)
    console.print()
    if between.links:
        rows = [
            [*map(safe, link["records"]), float(link["weight"]), ", ".join(link["rules"])] for link in between.links
        ]
        table(f"Links between them: {len(between.links)}", ["record", "record", "bits", "rules"], rows)
    if between.guards:
        rows = [[g["guard"], g["detail"], lines(g["records"]), float(g["weight"])] for g in between.guards]
        table("For review", ["guard", "it saw", "records", "bits"], rows)


def _show_customer(about: "CustomerExplained") -> None:
    alias = f" ({about.asked} is an alias of it)" if about.asked in about.aliases else ""
    since = f", since {about.born:%Y-%m-%d}" if about.born else ""
    nobody = "" if about.identified else "; nothing in its records identifies a person"
    console.print(f"{about.customer_id}{alias}: {about.state}{since}{nobody}.", style="bold", soft_wrap=True)
    console.print()
    rows: list[list[Any]] = [
        [safe(r["id"]), "anchor" if r["id"] == about.anchor else "", "deleted" if r["deleted"] else "", "waits for the next run" if r["pending"] else ""]
        for r in about.records
    ]  # fmt: skip
    table(f"Records: {len(about.records)}", ["record", "", "", ""], rows)
    if about.links:
        rows = [[*map(safe, link["records"]), float(link["weight"]), ", ".join(link["rules"])] for link in about.links]
        table(f"Links: {len(about.links)}", ["record", "record", "bits", "rules"], rows)
    if about.decisions:
        table("Decisions in force", ["records", "decision"], [[lines(d["records"]), _decided(d)] for d in about.decisions])  # fmt: skip
    if about.review:
        rows = [[g["guard"], g["detail"], lines(g["records"]), float(g["weight"])] for g in about.review]
        table("For review", ["guard", "it saw", "records", "bits or density"], rows)
    if about.aliases:
        table("Aliases", ["id"], [[alias] for alias in about.aliases])
    if about.households:
        table(
            "Households",
            ["home", "customers"],
            [[safe(str(h.get("home", ""))), "\n".join(h["customers"])] for h in about.households],
        )
    rows = [
        [f"{e['at']:%Y-%m-%d %H:%M}", e["kind"], "\n".join(e["customer_ids"]), lines(e["records"][:10]), safe(e["reason"] or "")]
        for e in about.events
    ]  # fmt: skip
    table("Events", ["when", "what", "customers", "records", "reason"], rows)
