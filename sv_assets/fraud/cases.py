"""Cases: what people look at and decide. A case is one order; what it says follows from its score and its events alone.

`events` is only ever added to: `opened`, `decided`, `reopened`. A case is made again of them and of the score whenever one
changes, so no crash can leave the two apart, and replaying changes nothing.

- **open**: the order has the points, and nobody decided yet; or it was taken up again.
- **decided**: a human said fraud, innocent or unclear, and why.
- **withdrawn**: what is known by now speaks against it (late data, other rules, an order that is gone), and nobody decided.

A case decided to be innocent or unclear is taken up again when there is new evidence, by a declared rule: a rule fires that had not when it was
decided, or there are `reopen_points` more points.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Literal

from sv_assets.fraud.keys import digest
from sv_assets.fraud.settings import ANOMALY, CaseSettings
from sv_assets.mongo import Document

Verdict = Literal["fraud", "innocent", "unclear"]
VERDICTS: tuple[Verdict, ...] = ("fraud", "innocent", "unclear")
OPENED, DECIDED, REOPENED = "opened", "decided", "reopened"


def case_id(order: str) -> str:
    """The id of the case of an order: the same for life."""
    return f"F{digest(f'case {order}')[:12].upper()}"


def is_fraud(case: Mapping[str, object]) -> bool:
    """True while a human's word that it is fraud holds."""
    return case.get("state") == "decided" and case.get("verdict") == "fraud"


def case_of(score: Document, events: Sequence[Document], settings: CaseSettings) -> Document | None:
    """The case of a score, given its events; None where there never was one and is none now."""
    flagged = bool(score.get("flagged")) and not score.get("gone")
    opened = next((e for e in events if e["kind"] == OPENED), None)
    if opened is None:
        return None
    decision = latest_decision(events)
    again = decision is not None and flagged and is_new_evidence(score, decision, settings)
    state = "open" if again or (decision is None and flagged) else "decided" if decision else "withdrawn"
    told: Document = {} if decision is None else {
        "verdict": decision["verdict"],
        "decided_by": decision["by"],
        "decided_at": decision["at"],
        "why": decision["why"],
    }  # fmt: skip
    reopened = sum(e["kind"] == REOPENED for e in events)
    return {
        "_id": case_id(score["_id"]),
        "order": score["_id"],
        "customer_id": score["customer_id"],
        "state": state,
        "ordered_at": score["at"],
        "opened_at": opened["at"],
        "opened_by": opened["rules"],
        "points": score["points"],
        "risk": score["risk"],
        "rules": score["rules"],
        "reasons": score["reasons"],
        "anomaly": score["anomaly"],
        "contributions": score["contributions"],
        "model": opened["model"],
        "reopened": reopened,
        **told,
    }


def latest_decision(events: Sequence[Document]) -> Document | None:
    """The decision that holds: the last one."""
    decisions = [e for e in events if e["kind"] == DECIDED]
    return max(decisions, key=lambda e: int(e["number"]), default=None)


def is_new_evidence(score: Document, decision: Document, settings: CaseSettings) -> bool:
    """True if the score says more than when it was decided. It cannot say more than that it is fraud."""
    if decision["verdict"] == "fraud":
        return False
    new_rules = set(score["rules"]) - set(decision["rules"]) - {ANOMALY}
    return bool(new_rules) or score["points"] >= decision["points"] + settings.reopen_points


def new_events(score: Document, events: Sequence[Document], settings: CaseSettings, now: dt.datetime) -> list[Document]:
    """The events that a score brings about: the case opens, or is taken up again. Keyed by what they say."""
    if not score.get("flagged") or score.get("gone"):
        return []
    case = case_id(score["_id"])
    common = {"case": case, "at": now, "rules": score["rules"], "points": score["points"], "model": score["model"]}
    if not any(e["kind"] == OPENED for e in events):
        return [{"_id": f"{case}:{OPENED}", "kind": OPENED, **common}]
    decision = latest_decision(events)
    if decision is None or not is_new_evidence(score, decision, settings):
        return []
    return [{"_id": f"{case}:{REOPENED}:{decision['number']}", "kind": REOPENED, **common}]


def decision_event(
    score: Document, events: Sequence[Document], verdict: Verdict, by: str, why: str, now: dt.datetime
) -> Document:
    """The event that a human's word is."""
    number = 1 + sum(e["kind"] == DECIDED for e in events)
    case = case_id(score["_id"])
    return {
        "_id": f"{case}:{DECIDED}:{number}",
        "kind": DECIDED,
        "case": case,
        "order": score["_id"],
        "number": number,
        "at": now,
        "verdict": verdict,
        "by": by,
        "why": why,
        "rules": score["rules"],
        "points": score["points"],
        "model": score["model"],
        "_sv": {"pending": ["cases"], "revision": 1},
    }
