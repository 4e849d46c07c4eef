"""How fast a customer is found and written among very many, and how fast they are composed.

A shop (`benchmarks.shop`) goes the whole way: landing, identity, orders, customers. Then each look-up that serves people is
measured, and the write of one customer document, beside a bare `find_one` by `_id` in the same minutes: by one client, and by
eight at once, each a process of its own.
"""

import datetime as dt
import gc
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.parts import keys_of_its_own, print_figures, run_part, tell_progress
from benchmarks.shop import delivery_reference, land_shop, order_number
from sv_assets.access import Actor
from sv_assets.catalogue import Catalogue, load_catalogue
from sv_assets.contact_centre import look_up
from sv_assets.contact_centre.cards import refresh_cards
from sv_assets.customers import find
from sv_assets.customers.contacts import CONSENTS, FLAGS, INTERACTIONS
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.facts import refresh_facts
from sv_assets.customers.orders import ORDERS
from sv_assets.customers.writing import over_version
from sv_assets.identity.party import refresh_party_records
from sv_assets.identity.resolution import refresh_identities
from sv_assets.local.servers import end_process, start_mongo
from sv_assets.mongo import Document, Store, bulk_write, open_store
from sv_assets.sealing.master import is_off
from sv_assets.settings import PROJECT_ROOT
from sv_assets.worklist import mark_pending

MODULE = "benchmarks.serving"
CLIENTS = 8
AGENT = Actor("bench", "contact_centre", "service", command="sv bench serving")
LOOKED_UP, BY_EACH_OF_MANY = 2_000, 250
"""So many customers are looked up by one client alone, and by each of eight."""
CHANGED = 1_000
_KINDS = ("email", "phone", "phone_end", "postcode_surname", "postcode_house", "name_town", "account")


def measure_serving(customers: int) -> dict[str, Any]:
    """Build `customers` customers with orders, and measure. Milliseconds are of one call, as the caller sees it."""
    with tempfile.TemporaryDirectory(prefix="sv-bench-") as folder:
        server = start_mongo(Path(folder) / "mongo")
        try:
            environment = {**os.environ, **keys_of_its_own(), "SV_MONGO_URL": server.url}
            built = run_part(MODULE, environment, "build", customers)
            composed = run_part(MODULE, environment, "compose", customers)
            alone = run_part(MODULE, environment, "clients", customers, 0)
            together = run_part(MODULE, environment, "clients", customers, *range(1, CLIENTS + 1))
            changed = run_part(MODULE, environment, "change", customers)
        finally:
            end_process(server.pid, server.created)
    one, eight = _summary(alone["clients"]), _summary(together["clients"])
    return {
        "customers": int(composed["customers"]),
        "sealing": "off" if is_off() else "on",
        **one,
        "eight_clients": eight,
        "compose_per_s": round(composed["customers"] / composed["seconds"]),
        "changed": int(changed["changed"]),
        "changed_seconds": round(changed["seconds"], 2),
        "peak_rss_mb": round(composed["peak_rss_mb"] + composed["others_rss_mb"]),
        "build_seconds": {**built["stations"], "customers": round(composed["seconds"], 1)},
    }


def _summary(clients: list[dict[str, list[float]]]) -> dict[str, Any]:
    """Percentiles by what was measured, over all clients."""
    measured: dict[str, list[float]] = {}
    for client in clients:
        for name, milliseconds in client.items():
            measured.setdefault(name, []).extend(milliseconds)
    told = {name: _percentiles(milliseconds) for name, milliseconds in measured.items()}
    return {"bare_find": told.pop("bare_find"), "write": told.pop("write"), "lookups": told}


def _percentiles(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        f"p{share}_ms": round(ordered[min(len(ordered) * share // 100, len(ordered) - 1)], 3) for share in (50, 95, 99)
    }


def _catalogue() -> Catalogue:
    return load_catalogue(PROJECT_ROOT / "sv_assets" / "defs" / "legacy")


def _build(store: Store, customers: int) -> dict[str, float]:
    """All but the customers themselves. Returns seconds by station."""
    catalogue = _catalogue()
    stations: dict[str, Callable[[], object]] = {
        "landing": lambda: land_shop(store, catalogue, customers),
        "party_records": lambda: refresh_party_records(store, catalogue),
        "identity": lambda: refresh_identities(store),
        **{
            facts.name: partial(refresh_facts, store, catalogue, facts)
            for facts in (ORDERS, INTERACTIONS, CONSENTS, FLAGS)
        },
    }
    seconds = {}
    for name, work in stations.items():
        started = time.monotonic()
        work()
        seconds[name] = round(time.monotonic() - started, 1)
    return seconds


def _change(store: Store) -> int:
    """Some customers have another e-mail address; everything before the customers has heard of it. Returns how many."""
    clusters, records = store.identity["clusters"], store.identity["party_records"]
    some = list(clusters.find({"state": "active"}, {"anchor": 1}).limit(CHANGED))
    for n, cluster in enumerate(some):
        change = {"emails": [f"changed{n}@mailbox.example"], "compared.emails": [f"changed{n}@mailbox.example"]}
        records.update_one({"_id": cluster["anchor"]}, {"$set": change})
    bulk_write(clusters, mark_pending([cluster["_id"] for cluster in some], "customers"))
    return len(some)


def _clients(customers: int, numbers: list[int]) -> list[dict[str, list[float]]]:
    """These clients at once, each a fork of its own."""
    with ProcessPoolExecutor(len(numbers), mp_context=get_context("fork")) as pool:
        return list(pool.map(partial(_client, customers), numbers))


def _client(customers: int, number: int) -> dict[str, list[float]]:
    """What each call took, in milliseconds, in an order that no other client has."""
    store = _store()
    chance = random.Random(number)
    people = list(_some(store, customers, min(BY_EACH_OF_MANY, customers // 8) if number else LOOKED_UP, chance))
    calls: dict[str, list[Callable[[], Any]]] = {
        "bare_find": [_bare(store, document["_id"]) for document in people],
        "id": [_by_id(store, document["_id"]) for document in people],
        "card": [_card(store, document["_id"]) for document in people],
        **{kind: [_by_key(store, kind, d) for d in people if _key(d, kind)] for kind in _KINDS},
        "order": [_asked(store, order=order_number(chance.randrange(customers))) for _ in people],
        "delivery": [_asked(store, delivery=delivery_reference(chance.randrange(customers) // 5 * 5)) for _ in people],
    }
    calls["write"] = [_write(store, document) for document in people[: len(people) // 4]]
    mixed = [(name, call) for name, some in calls.items() for call in some]
    chance.shuffle(mixed)
    for _, call in mixed[:100]:
        call()  # connections and caches are warm in service
    taken: dict[str, list[float]] = {name: [] for name in calls}
    gc.disable()
    for name, call in mixed[100:]:
        started = time.perf_counter()
        call()
        taken[name].append(1000 * (time.perf_counter() - started))
    return taken


def _some(store: Store, customers: int, most: int, chance: random.Random) -> Iterator[Document]:
    """Some customers, by the records that they are made of."""
    for n in chance.sample(range(customers), min(most, customers)):
        record = store.identity["party_records"].find_one({"_id": f"crm.customer:{n}"}, {"customer_id": 1})
        document = record and store.single_view["customers"].find_one({"_id": record["customer_id"]})
        if document:
            yield document


def _bare(store: Store, identifier: str) -> Callable[[], Any]:
    collection = store.single_view["customers"]
    return lambda: collection.find_one({"_id": identifier})


def _by_id(store: Store, identifier: str) -> Callable[[], Any]:
    return lambda: find.by_id(store, identifier, actor=AGENT)


def _card(store: Store, identifier: str) -> Callable[[], Any]:
    return lambda: look_up.by_id(store, identifier, actor=AGENT)


def _key(document: Document, kind: str) -> str | None:
    return next((key.partition(":")[2] for key in document["keys"] if key.startswith(f"{kind}:")), None)


def _by_key(store: Store, kind: str, document: Document) -> Callable[[], Any]:
    value = _key(document, kind) or ""
    head, _, tail = value.rpartition(" ")
    if kind in ("postcode_surname", "postcode_house"):
        return _asked(store, postcode=head, **{kind.removeprefix("postcode_"): tail})
    if kind == "name_town":
        first, last, town = value.split(" ")
        return _asked(store, name=f"{first} {last}", town=town)
    return _asked(store, **{kind.removesuffix("_end"): value})


def _asked(store: Store, **said: str) -> Callable[[], Any]:
    question = find.Question(**said)
    return lambda: _found(find.customers(store, question, actor=AGENT), said)


def _found(found: list[find.Found], said: dict[str, str]) -> None:
    if not found:
        raise AssertionError(f"nobody was found by {', '.join(said)}")


def _write(store: Store, document: Document) -> Callable[[], Any]:
    """The document over itself with another moment, as composition replaces it: one guarded statement."""
    later = {**document, "composed_at": document["composed_at"] + dt.timedelta(milliseconds=1)}
    update = over_version(document["_id"], document["version"], later)
    collection = store.single_view["customers"]
    return lambda: collection.bulk_write([update])


def _store() -> Store:
    return open_store(os.environ["SV_MONGO_URL"], "bench_")


def main() -> None:
    part, customers, *rest = sys.argv[1:]
    tell_progress()
    if part == "clients":
        print_figures({"clients": _clients(int(customers), [int(number) for number in rest])})
        return
    store = _store()
    if part == "build":
        print_figures({"stations": _build(store, int(customers))})
        return
    changed = _change(store) if part == "change" else 0
    started = time.monotonic()
    report = refresh_customers(store, _catalogue())
    seconds = time.monotonic() - started
    refresh_cards(store)
    if report.updated != changed:
        raise AssertionError(f"{report.updated} of {changed} changed customers were written")
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 * (os.cpu_count() or 1)
    there = store.single_view["customers"].estimated_document_count()
    print_figures({"seconds": seconds, "customers": there, "changed": changed, "others_rss_mb": others})


if __name__ == "__main__":
    main()
