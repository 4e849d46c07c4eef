"""Requests of people about their data: who asks is proven, the request is filed by an id, and how it was answered is kept.

`control.requests` holds no evidence, only of which kinds it was: `{_id, kind, customer_id, proofs, confirmed_by, filed_at, due_at, actor,
reason, state, …}`. A job gets the id of a request and nothing else.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from sv_assets.access import Actor, Attempt, permission
from sv_assets.catalogue.load import Catalogue
from sv_assets.errors import SvError
from sv_assets.mongo import Document, Store, now_in_milliseconds
from sv_assets.privacy.bundle import write_bundle
from sv_assets.privacy.declaration import load_declaration
from sv_assets.privacy.erase import erase, finished
from sv_assets.privacy.erasure import Erasure
from sv_assets.privacy.evidence import PROOFS_NEEDED, Candidate, Evidence, candidates
from sv_assets.privacy.gather import SEEN_AS, Gathered, gather
from sv_assets.privacy.subject import find_person

COLLECTION = "requests"
OFFICER = "privacy_officer"
"""The role whose business requests are."""
Kind = Literal["access", "erasure", "rectification", "restriction", "objection", "consent"]


class NotProven(SvError):
    """Who asks is not proven to be anybody in particular. `candidates` say nothing personal."""

    def __init__(self, message: str, found: list[Candidate]) -> None:
        super().__init__(message)
        self.candidates = found


def identify(store: Store, evidence: Evidence, *, actor: Actor, confirmed_by: str | None = None) -> Candidate:
    """The one person whom the evidence proves; `confirmed_by` somebody who saw other proof, one fitting candidate is enough.

    Raises NotProven where it is not proven, or may be several people; AccessRefused for an actor who may not ask.
    """
    attempt = Attempt(evidence.given())
    allowed = permission(store, actor, SEEN_AS, attempt)
    found = candidates(store, evidence)
    allowed.log(store, [candidate.customer_id for candidate in found], attempt)
    if not found:
        raise NotProven("Nobody is known by what was given.", [])
    proven = [candidate for candidate in found if candidate.is_proven]
    fitting = proven or ([c for c in found if not c.against] if confirmed_by else [])
    if len(fitting) > 1:
        person = find_person(store, fitting[0].customer_id, thorough=False)
        if {candidate.customer_id for candidate in fitting} <= person.customer_ids:
            fitting = fitting[:1]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise NotProven(
            f"{len(fitting)} people fit what was given. Give one thing more, or the one with --customer and --confirmed-by.",
            fitting,
        )
    if confirmed_by:
        raise NotProven("What was given contradicts what is known of everybody whom it finds.", found)
    raise NotProven(
        f"{PROOFS_NEEDED} things must fit that do not come from each other (e-mail, phone, date of birth, address, account, order); a name "
        "proves nothing. Ask for another, or say who saw other proof: --confirmed-by NAME --reason WHY.",
        found,
    )


def file_request(
    store: Store,
    kind: Kind,
    who: Candidate,
    *,
    actor: str,
    role: str | None = None,
    reason: str = "",
    confirmed_by: str | None = None,
    what: Document | None = None,
) -> Document:
    """File a request; returns it. `role` is the actor's, the privacy officer's by default. Its answer is due within what `retention.yaml` says (`answer_within`)."""
    if confirmed_by and not reason.strip():
        raise SvError("Who confirms somebody without evidence must say on which proof: --reason.")
    now = now_in_milliseconds()
    request: Document = {
        "_id": f"q-{uuid.uuid4().hex[:16]}", "kind": kind, "customer_id": who.customer_id, "proofs": list(who.proofs),
        "confirmed_by": confirmed_by, "actor": actor, "role": role or OFFICER, "reason": reason, "filed_at": now,
        "due_at": now + load_declaration().answer_within, "state": "filed", **(what or {}),
    }  # fmt: skip
    store.control[COLLECTION].insert_one(request)
    return request


def open_request(store: Store, request_id: str, kind: Kind) -> Document:
    """A request that waits for its answer. Raises SvError where there is none of that kind."""
    found = store.control[COLLECTION].find_one({"_id": request_id})
    if found is None or found["kind"] != kind:
        raise SvError(f"There is no request {request_id} for {kind}. `sv privacy requests` lists them.")
    return found


def answer_access(
    store: Store, catalogue: Catalogue, request_id: str, folder: Path, *, actor: Actor | None = None
) -> tuple[Gathered, Path]:
    """Gather everything on who asked, write the bundle into a folder, and note that it was answered.

    It is handed to the actor, by default to who filed the request. Raises AccessRefused where their role may not have it.
    """
    request = open_request(store, request_id, "access")
    who = actor or Actor(request["actor"], request.get("role", OFFICER), "subject_access", command="job subject_access")
    gathered = gather(store, catalogue, request["customer_id"], actor=replace(who, reason=who.reason or request_id))
    manifest = write_bundle(gathered, folder, request=request_id)
    close(store, request_id, {"documents": gathered.documents, "redacted": gathered.redacted})
    return gathered, manifest


def carry_out_erasure(
    store: Store,
    catalogue: Catalogue,
    request_id: str,
    *,
    verify: bool = True,
    advance: Callable[[str], None] = lambda step: None,
) -> Erasure:
    """Erase who asked, or go on with it; and note that it was done, unless the search at its end still found something."""
    request = open_request(store, request_id, "erasure")
    if (before := finished(store, request_id)) is not None:  # a run that was killed had only to note it
        close(store, request_id, {"erasure": before.id, "customer_id": None})
        return before
    begun = store.control["erasures"].find_one({"request": request_id, "state": "running"})
    customer = begun["plan"]["customer_id"] if begun else request["customer_id"]
    erasure = erase(
        store,
        catalogue,
        customer,
        actor=request["actor"],
        reason=request["reason"] or "asked for",
        request=request_id,
        verify=verify,
        advance=advance,
    )
    if erasure.is_done:
        close(store, request_id, {"erasure": erasure.id, "customer_id": None})
    return erasure


def close(store: Store, request_id: str, how: Document) -> None:
    now = dt.datetime.now(dt.timezone.utc)
    store.control[COLLECTION].update_one({"_id": request_id}, {"$set": {**how, "state": "done", "done_at": now}})


def list_requests(store: Store, *, only_open: bool = False) -> list[Document]:
    """All requests, those due first on top."""
    found = list(store.control[COLLECTION].find({"state": "filed"} if only_open else {}))
    return sorted(found, key=lambda r: (r["state"] == "done", r["due_at"], r["_id"]))


def overdue(store: Store, now: dt.datetime | None = None) -> int:
    """How many requests should have been answered by now."""
    now = now or dt.datetime.now(dt.timezone.utc)
    return sum(request["due_at"] < now for request in list_requests(store, only_open=True))
