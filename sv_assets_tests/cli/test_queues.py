"""`sv queues` as a person or a script uses it: a process of its own, its output, its exit code, and what it leaves."""

import datetime as dt
import json
import time
from collections.abc import Iterator

import pytest

from sv_assets.local import RunningServer
from sv_assets.mongo import Store
from sv_assets.sources.sqs.queue import Depth
from sv_assets_tests.conftest import Catalogued
from sv_assets_tests.landing.estate import documents, entries
from sv_assets_tests.queue_estate import QueueEstate, made_queues

pytestmark = pytest.mark.usefixtures("store")
SECRET = "jane.smith@example.com"
ENGINEER = ("--unmasked", "--as", "platform_engineer", "--purpose", "repair", "--because", "T-1")
SCHEMA = {"required": ["id", "v", "name"]}


@pytest.fixture(params=["", ".fifo"], ids=["standard", "fifo"])
def web(
    request: pytest.FixtureRequest,
    catalogued: Catalogued,
    sqs_server: RunningServer,
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
) -> Iterator[QueueEstate]:
    with made_queues(catalogued, sqs_server, monkeypatch) as make:
        yield make(request.param)


def test_inspect_shows_every_queue_at_a_glance(web: QueueEstate, store: Store) -> None:
    web.send({"id": "a", "v": 1}, "not json")
    web.land(store)
    web.send(*[{"id": f"k{n}", "v": 1} for n in range(3)])
    web.give_up_on("x", "y")
    today = dt.datetime.now(dt.timezone.utc).date().isoformat()
    (state,) = web.json("queues", "inspect")["queues"]
    assert state == {
        "source": web.source.key, "queue": web.name, "waiting": 3, "in_flight": 0, "delayed": 0, "oldest_age": None,
        "redrive_limit": 3, "dead_letter_queue": web.dead_name, "dead_letters": 2, "quarantined": 1, "archived": 2,
        "archived_from": today, "archived_to": today,
    }  # fmt: skip
    shown = web.sv("queues", "inspect", web.source.key)
    assert shown.returncode == 0
    assert web.source.key in shown.stdout


def test_inspect_says_why_dead_letters_would_not_land_and_shows_no_body_unless_asked(web: QueueEstate) -> None:
    web.declare(event_type="$.type")
    good, bad = web.give_up_on({"id": "a", "v": 1, "type": "x[red]y"}, SECRET)
    arguments = ("queues", "inspect", web.source.key, "--dead-letters")
    letters = {letter["message_id"]: letter for letter in web.json(*arguments)["dead_letters"]}
    assert (letters[good]["lands"], letters[good]["event"]) == (True, "x[red]y")
    assert (letters[bad]["lands"], letters[bad]["reason"]) == (False, "the body is not JSON")
    assert letters[bad]["bytes"] == len(SECRET)
    assert letters[bad]["group"] == ("***" if web.is_fifo else None), "a group may be a person"
    assert all("body" not in letter for letter in letters.values())
    shown = web.sv(*arguments)
    assert bad in shown.stdout and "x[red]y" in shown.stdout and "the body is not JSON" in shown.stdout
    assert SECRET not in shown.stdout + shown.stderr
    refused = web.sv(*arguments, "--unmasked")
    assert refused.returncode == 1 and SECRET not in refused.stdout + refused.stderr
    assert SECRET in web.sv(*arguments, *ENGINEER).stdout
    assert SECRET in json.dumps(web.json(*arguments, *ENGINEER))
    assert web.dead == Depth(2, 0, 0)


def test_redrive_asks_first_and_says_what_it_did(web: QueueEstate, store: Store) -> None:
    web.give_up_on(*[{"id": f"k{n}", "v": 1, "mail": SECRET} for n in range(12)], "not json")
    key = web.source.key
    asked = web.sv("queues", "redrive", key)
    assert asked.returncode == 1
    assert "back to" in asked.stderr
    assert web.dead == Depth(13, 0, 0)
    dry = web.json("queues", "redrive", key, "--only-landable", "--dry-run")
    assert (dry["moved"], web.depth, web.dead) == (0, Depth(0, 0, 0), Depth(13, 0, 0))
    assert dry["matched"] == dry["landable"] == (10 if web.is_fifo else 12)
    done = web.sv("queues", "redrive", key, "--only-landable", "--yes")
    assert done.returncode == 0, done.stderr
    assert "12 moved back" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert (web.depth, web.dead) == (Depth(12, 0, 0), Depth(1, 0, 0))
    assert web.land(store).outcome.inserted == 12


def test_redrive_filters(web: QueueEstate) -> None:
    _, second = web.give_up_on({"id": "a", "v": 1}, {"id": "b", "v": 1})
    time.sleep(0.05)
    now = dt.datetime.now(dt.timezone.utc).isoformat()
    key = web.source.key
    assert web.json("queues", "redrive", key, "--sent-after", now, "--yes")["matched"] == 0
    assert web.json("queues", "redrive", key, "--sent-before", "2020-01-01", "--yes")["matched"] == 0
    assert web.json("queues", "redrive", key, "--message", second, "--sent-before", now, "--yes")["moved"] == 1
    assert [body["id"] for body in web.bodies()] == ["b"]
    missing = web.sv("queues", "redrive", key, "--message", second, "--yes")
    assert missing.returncode == 1
    assert "1 of the named messages were not found" in missing.stderr
    assert web.json("queues", "redrive", key, "--limit", "1", "--yes")["moved"] == 1


def test_quarantine_is_listed_and_tried_again_once_the_schema_is_mended(web: QueueEstate, store: Store) -> None:
    web.declare(schemas=[{"json_schema": SCHEMA}])
    web.send({"id": "a", "v": 1, "mail": SECRET}, {"id": "b", "v": 1}, "not json", {"id": "b", "v": 2, "name": "new"})
    web.land(store)
    listed = web.json("queues", "quarantine", "list")
    assert listed["count"] == 3
    assert [reason["count"] for reason in listed["reasons"]] == [2, 1]
    assert SECRET not in json.dumps(listed)
    shown = web.sv("queues", "quarantine", "list", web.source.key, "--reason", "schema")
    assert shown.stdout.count("message ") == 2 and SECRET not in shown.stdout
    assert web.sv("queues", "quarantine", "list", "--unmasked").returncode == 1
    assert SECRET in web.sv("queues", "quarantine", "list", *ENGINEER).stdout
    web.declare(schemas=None)
    dry = web.json("queues", "quarantine", "retry", "--dry-run")
    assert [(q["tried"], q["landable"], q["stay"]) for q in dry["queues"]] == [(3, 2, 1)]
    assert len(entries(store)) == 3
    done = web.sv("queues", "quarantine", "retry", web.source.key)
    assert done.returncode == 0, done.stderr
    assert "the body is not JSON" in done.stdout and SECRET not in done.stdout + done.stderr
    assert {key: d["body"]["v"] for key, d in documents(store, web.source).items()} == {"a": 1, "b": 2}
    assert web.json("queues", "quarantine", "list")["count"] == 1
    assert web.json("queues", "quarantine", "list", "--status", "resolved")["count"] == 2
    assert web.json("queues", "quarantine", "list", "--since", "2999-01-01")["count"] == 0


def test_what_is_wrong_is_one_sentence_and_exit_code_2(web: QueueEstate, catalogued: Catalogued) -> None:
    catalogued.declare("    - {name: dbo.Item, key: [Id], capture: {mode: snapshot}}\n")
    key = web.source.key
    for sentence, *arguments in (
        ("There is no source web.nonsense", "inspect", "web.nonsense"),
        (f"shop.item is a table. The queues are: {key}.", "redrive", "shop.item", "--yes"),
        ("shop.item is a table", "inspect", "shop.item"),
        ("there is no table dbo.Item", "quarantine", "retry", "shop.item"),
        ("sv queues inspect SOURCE --dead-letters", "inspect", "--dead-letters"),
        ("1 of the named entries are not open", "quarantine", "retry", "--id", "nonsense"),
        ("is no date-time", "quarantine", "list", "--since", "yesterday"),
    ):
        result = web.sv("queues", *arguments)
        assert result.returncode == 2, (arguments, result)
        assert sentence in " ".join(result.stderr.replace("│", " ").split()), arguments
        assert "Traceback" not in result.stderr


def test_a_queue_that_is_away_does_not_hide_the_others(web: QueueEstate, catalogued: Catalogued) -> None:
    path = catalogued.declare("", system="other")
    declared = json.loads((catalogued.directory / "web" / "defs.yaml").read_text())
    declared["attributes"] |= {"system": "other"}
    declared["attributes"]["queues"][0]["name"] = "no-such-queue"
    path.write_text(json.dumps(declared))
    result = web.sv("queues", "inspect", "--json")
    assert result.returncode == 2
    assert "there is no queue no-such-queue" in result.stderr
    shown = json.loads(result.stdout)
    assert [state["source"] for state in shown["queues"]] == [web.source.key]
    assert len(shown["problems"]) == 1
