"""`sv fraud`: what is watched, the cases, deciding them, the model, and how well fraud is found."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sv_assets.cli.actor import AsOption, PurposeOption, ReasonOption, actor
from sv_assets.cli.output import JsonOption, complain, console, lines, print_json, safe, table
from sv_assets.errors import ConfigurationError

if TYPE_CHECKING:
    from sv_assets.mongo import Document

app = typer.Typer(
    no_args_is_help=True, help="Fraud: signals and scores of orders, the cases, and how well it is found."
)
_STATES = ("open", "decided", "withdrawn", "all")


@app.command("status")
def status(json: JsonOption = False) -> None:
    """What waits, which model counts, how the queue does, and how far the model has drifted."""
    from sv_assets.fraud.drift import drift
    from sv_assets.fraud.evaluating import waiting
    from sv_assets.fraud.metrics import figures
    from sv_assets.fraud.model import applied, models
    from sv_assets.fraud.settings import load_settings
    from sv_assets.mongo import store_from_environment

    store, settings = store_from_environment(), load_settings()
    scores = store.fraud["scores"]
    model = applied(store)
    found = drift(store, model, settings.drift) if model else None
    told: dict[str, Any] = {
        "waiting": vars(waiting(store)),
        "orders": scores.count_documents({}) - scores.count_documents({"gone": True}),
        "flagged": scores.count_documents({"flagged": True}) - scores.count_documents({"flagged": True, "gone": True}),
        "cases": {s: store.fraud["cases"].count_documents({"state": s}) for s in _STATES[:3]},
        "model": model.version if model else None,
        "models": models(store),
        "drifted": found.beyond(settings.drift.warn_at) if found else {},
        "orders_compared": found.orders if found else 0,
        "rules": figures(store, "rule"),
        "total": next(iter(figures(store)), None),
    }
    if json:
        print_json(told)
        return
    table(
        "Fraud",
        ["", ""],
        [
            ["orders judged", f"{told['orders']:,}"],
            ["flagged", f"{told['flagged']:,}"],
            *([f"cases {state}", f"{number:,}"] for state, number in told["cases"].items()),
            ["model", told["model"] or "none yet"],
            ["drifted", ", ".join(told["drifted"]) or f"nothing, over {told['orders_compared']:,} orders"],
            *([f"{name} waiting", f"{number:,}"] for name, number in told["waiting"].items() if number),
        ],
    )
    _show_rules(told["rules"])


@app.command("signals")
def signals(json: JsonOption = False) -> None:
    """What each signal counts, and over which window before the order."""
    from sv_assets.fraud.signals import SIGNALS

    if json:
        print_json([{"signal": name, "says": s.says, "window": str(s.window or "")} for name, s in SIGNALS.items()])
    else:
        table("Signals of an order", ["signal", "what it is"], [[name, s.says] for name, s in SIGNALS.items()])


@app.command("cases")
def cases(
    state: Annotated[str, typer.Option(help="open, decided, withdrawn or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, the riskiest first.")] = 20,
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """The cases, the riskiest first, each with its reasons. Exit code 1 if there is none."""
    from sv_assets.fraud.review import listed
    from sv_assets.mongo import store_from_environment

    if state not in _STATES:
        raise ConfigurationError(f"There is no state {state}; it is one of {', '.join(_STATES)}.")
    who = actor("fraud cases", role, purpose, reason)
    found = listed(store_from_environment(), None if state == "all" else state, limit, actor=who)
    if json:
        print_json(found)
    elif found:
        table(
            f"{len(found)} cases",
            ["case", "state", "risk", "ordered", "reasons"],
            [[c.get("_id"), _state(c), c.get("risk"), _at(c, "ordered_at"), lines(_reasons(c))] for c in found],
        )
        console.print("[bold]sv fraud show CASE[/] says more; [bold]sv fraud decide CASE --verdict …[/] decides.")
    else:
        console.print("There is no such case.")
    if not found:
        raise typer.Exit(1)


@app.command("show")
def show(
    case: Annotated[str, typer.Argument(help="The case.")],
    role: AsOption = None,
    purpose: PurposeOption = None,
    reason: ReasonOption = None,
    json: JsonOption = False,
) -> None:
    """One case: its order, why it is here, what happened to it, and which other cases share something with it."""
    from sv_assets.fraud.review import shown
    from sv_assets.mongo import store_from_environment

    found = shown(store_from_environment(), case, actor=actor("fraud show", role, purpose, reason))
    if json:
        print_json(found)
        return
    one = found["case"]
    table(
        f"Case {case}: {_state(one)}",
        ["", ""],
        [
            ["order", safe(one.get("order"))],
            ["customer", safe(one.get("customer_id") or "not known")],
            ["ordered", _at(one, "ordered_at")],
            ["opened", _at(one, "opened_at")],
            ["points", f"{one.get('points')} ({', '.join(one.get('rules', ()))})"],
            ["unusual", _unusual(one)],
            ["because", lines(_reasons(one))],
            ["also", lines(str(e["says"]) for e in found["explained"])],
        ],
    )
    table(
        "What happened",
        ["when", "what", "by", "why"],
        [[_at(e, "at"), safe(_what(e)), safe(e.get("by", "")), safe(e.get("why", ""))] for e in found["events"]],
    )
    if found["linked"]:
        rows = [[o["case"], o["state"], o["verdict"] or "", ", ".join(o["shares"])] for o in found["linked"]]
        table("Shares something with", ["case", "state", "verdict", "shares"], rows)


@app.command("decide")
def decide(
    cases: Annotated[list[str], typer.Argument(help="The cases.", metavar="CASE...")],
    verdict: Annotated[str, typer.Option(help="fraud, innocent or unclear.")],
    reason: Annotated[str, typer.Option(help="Why; without anybody's contact data.")],
    by: Annotated[str, typer.Option(help="Who decides.")],
    json: JsonOption = False,
) -> None:
    """Decide cases. What is decided is told to the model and to all orders that share something; new evidence opens it again."""
    from sv_assets.fraud.cases import VERDICTS
    from sv_assets.fraud.review import decide as decide_cases
    from sv_assets.mongo import store_from_environment

    chosen = next((v for v in VERDICTS if v == verdict), None)
    if chosen is None:
        raise ConfigurationError(f"There is no verdict {verdict}; it is one of {', '.join(VERDICTS)}.")
    found = decide_cases(store_from_environment(), cases, chosen, by=by, why=reason)
    if json:
        print_json(found)
    else:
        rows = [[c["_id"], _state(c), safe(c["decided_by"])] for c in found]
        table("Decided", ["case", "state", "by"], rows)


@app.command("train")
def train(json: JsonOption = False) -> None:
    """Train the model of ordinary orders anew and let it count. Exit code 1 if there are too few orders."""
    from sv_assets.fraud.model import refresh_model
    from sv_assets.fraud.settings import load_settings
    from sv_assets.mongo import store_from_environment

    settings = load_settings()
    model, trained = refresh_model(store_from_environment(), settings, dt.datetime.now(dt.timezone.utc), again=True)
    if not trained or model is None:
        complain(f"There are fewer than {settings.model.train_from} orders to train on that are not known to be fraud.")
        raise typer.Exit(1)
    if json:
        print_json({"model": model.version, "orders": model.orders, "trained_at": model.trained_at})
    else:
        console.print(
            f"Model {model.version}, trained on {model.orders:,} orders, counts now. Next: [bold]sv fraud score[/]."
        )


@app.command("score")
def score(
    full: Annotated[bool, typer.Option("--full", help="All orders, not only those that changed.")] = False,
    json: JsonOption = False,
) -> None:
    """Bring signals, scores, cases and metrics up to what orders and customers say now, here and without Dagster."""
    from sv_assets.fraud.evaluating import refresh_signals
    from sv_assets.fraud.metrics import refresh_metrics
    from sv_assets.fraud.review import refresh_cases
    from sv_assets.fraud.scoring import refresh_scores
    from sv_assets.mongo import store_from_environment

    store = store_from_environment()
    reports = {
        "signals": refresh_signals(store, full=full),
        "scores": refresh_scores(store, full=full),
        "cases": refresh_cases(store, full=full),
        "metrics": refresh_metrics(store),
    }
    if json:
        print_json({name: {"read": r.read, "written": r.written, **r.details} for name, r in reports.items()})
    else:
        table("Fraud", ["station", "read", "written"], [[n, r.read, r.written] for n, r in reports.items()])


@app.command("evaluate")
def evaluate(
    truth: Annotated[
        Path | None, typer.Option(help="source,key,pattern,incident,fraud; default: the embedded estate's own.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Precision, recall, precision at k and time to flag, by pattern, against a known truth. Exit code 1 if nothing is judged."""
    from sv_assets import settings as environment
    from sv_assets.fraud.evaluate import TRUTH, quality_of_store, read_truth
    from sv_assets.fraud.settings import load_settings
    from sv_assets.mongo import store_from_environment

    named = truth or environment.variable(TRUTH)
    if named is None:
        raise ConfigurationError(
            f"No truth is known here: give --truth, or set {TRUTH}. `sv estate up` and `seed` make one."
        )
    found = quality_of_store(store_from_environment(), read_truth(Path(named)), load_settings().precision_at)
    if json:
        print_json(found)
    else:
        _show_quality(found)
    if not found["orders"]:
        complain("No order is judged yet. Run `sv run`, or `sv fraud score`.")
        raise typer.Exit(1)


def _show_quality(found: "Document") -> None:
    at = ", ".join(f"{_percent(v)} of {k}" for k, v in found["precision_at"].items())
    table(
        f"{found['fraud']:,} of {found['orders']:,} orders are fraud; {found['flagged']:,} are flagged",
        ["", ""],
        [
            ["precision", _percent(found["precision"])],
            ["recall", _percent(found["recall"])],
            ["honest orders flagged", _percent(found["false_positive_rate"])],
            ["incidents found", f"{found['incidents_found']} of {found['incidents']}"],
            ["fraud among the riskiest", at],
        ],
    )
    table(
        "By pattern",
        ["pattern", "orders", "flagged", "recall", "incidents", "found", "minutes to flag"],
        [
            [
                p,
                f["orders"],
                f["flagged"],
                _percent(f["recall"]),
                f["incidents"],
                f["incidents_found"],
                f["minutes_to_flag"],
            ]
            for p, f in found["patterns"].items()
        ],
    )
    rows = [[p, f["orders"], f["flagged"]] for p, f in found["look_alikes"].items()]
    table("Honest, but looks like it", ["what", "orders", "flagged"], rows)
    fired = [[rule, f["fired"], _percent(f["precision"])] for rule, f in found["rules"].items()]
    table("By rule", ["rule", "fired", "fraud"], fired)


def _show_rules(rules: "list[Document]") -> None:
    if rules:
        table(
            "Cases by rule",
            ["rule", "opened", "open", "decided", "fraud", "innocent"],
            [[r["name"], r["opened"], r["open"], r["decided"], r["fraud"], r["innocent"]] for r in rules],
        )


def _at(document: "Document", field: str) -> str:
    at = document.get(field)
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _state(case: "Document") -> str:
    state, verdict = case.get("state", ""), case.get("verdict")
    again = f" again ({verdict} before)" if state == "open" and verdict else ""
    return f"{state}{again}" if state != "decided" else f"decided: {verdict}"


def _reasons(case: "Document") -> list[str]:
    told = [": ".join(filter(None, (r["says"], ", ".join(r["because"])))) for r in case.get("reasons", ())]
    return told or [one["says"] for one in case.get("contributions", ())]


def _unusual(case: "Document") -> str:
    if case.get("anomaly") is None:
        return "no model yet"
    top = "; ".join(f"{one['says']} ({one['share']:.0%})" for one in case.get("contributions", ()))
    return f"more than {case['anomaly']:.2%} of ordinary orders" + (f": {top}" if top else "")


def _what(event: "Document") -> str:
    return f"decided: {event['verdict']}" if event.get("kind") == "decided" else str(event.get("kind", ""))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
