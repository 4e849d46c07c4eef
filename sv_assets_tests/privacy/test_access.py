"""Subject access: everything on the person, nothing on others, in a bundle that shows whether it was touched."""

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sv_assets.errors import ConfigurationError
from sv_assets.privacy import bundle
from sv_assets.privacy.bundle import faults_of, write_bundle
from sv_assets.privacy.evidence import Evidence, candidates
from sv_assets.privacy.gather import Gathered, Section, gather
from sv_assets.privacy.redact import OTHER, Redaction
from sv_assets.privacy.subject import find_person
from sv_assets_tests.privacy.jane import HANDLER, Estate


def test_everything_on_the_person_is_handed_over_and_nothing_on_others(
    estate: Estate, folder: Path, tmp_path: Path
) -> None:
    store, jane, peter = estate.store, estate.id_of("crm.customer:1001"), estate.id_of("crm.customer:1002")
    (folder / "logs").mkdir()
    (folder / "logs" / "mongo.log").write_text("slow query for jane.smith77@example.org\nof peter.jones5@example.org\n")
    person = find_person(store, jane)
    assert set(person.records) == {
        "crm.customer:1001", "sales.account:2001", "sales.orderheader:3002", "contactcentre.call:7002",
        "contactcentre.complaint:8001", "web.web_account_events:W-1",
    }  # fmt: skip
    gathered = gather(store, estate.catalogue, jane, actor=HANDLER)
    assert gathered.undeclared == []
    names = {section.name for section in gathered.sections}
    assert names >= {
        "landing.crm.customer", "landing.crm.customeraddress", "landing.crm.contactpreference", "landing.sales.account",
        "landing.sales.orderheader", "landing.sales.payment", "landing.contactcentre.call", "landing.delivery.delivery_events",
        "archive.web.web_account_events", "control.quarantine", "identity.party_records", "identity.events", "single_view.customers",
        "single_view.orders", "single_view.consents", "single_view.interactions", "logs",
    }  # fmt: skip
    assert all(section.purpose and section.kept for section in gathered.sections)
    manifest = write_bundle(gathered, tmp_path / "out")
    assert faults_of(tmp_path / "out") == []
    text = (tmp_path / "out" / "data.json").read_text() + (tmp_path / "out" / "report.html").read_text()
    for own in (
        "jane.smith77@example.org",
        "07700 900123",
        "12 Old Bakery Row",
        "PARCEL-77",
        "SO3001",
        "Kettle",
        "W-1",
        "Mrs J Smith",
    ):
        assert own in text
    for other in (
        "peter.jones5",
        "Peter",
        "mary.brown9",
        "agent.kim",
        peter,
        "crm.customer:1002",
        "PARCEL-88",
        "SO3003",
    ):
        assert other not in text
    assert OTHER in text
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF-")
    told = json.loads(manifest.read_text())
    assert {f["name"] for f in told["files"]} == {"data.json", "report.html", "report.pdf"}
    (tmp_path / "out" / "report.html").write_text("changed")
    assert faults_of(tmp_path / "out") == ["report.html was changed"]


def test_the_pdf_says_of_what_it_leaves_out_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    from fpdf import FPDF

    said: list[str] = []
    monkeypatch.setattr(FPDF, "multi_cell", lambda self, w, h, text, **options: said.append(text))
    section = Section("single_view.customers", "p", "b", "k", [{"_id": "C1", "notes": ["x" * 100] * 60}])
    bundle._as_pdf(Gathered("C1", ["C1"], [section]), dt.datetime.now(dt.timezone.utc))
    assert said[-1] == "… and more of this record, in report.html and data.json."
    assert len(said[-2]) == 4000


def test_who_read_them_is_handed_over_however_long_the_log_of_accesses_is(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")
    store.control["access_log"].insert_many(
        [{"_id": "a", "customers": ["C0", jane]}, {"_id": "b", "customers": ["C0"]}]
    )
    monkeypatch.setattr("sv_assets.privacy.gather.MANY_ANYWHERE", 1)
    (log,) = [
        s for s in gather(store, estate.catalogue, jane, actor=HANDLER).sections if s.name == "control.access_log"
    ]
    assert "a" in {entry["_id"] for entry in log.documents} and "b" not in {entry["_id"] for entry in log.documents}


def test_among_millions_rows_that_are_deleted_or_wait_are_handed_over_too(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = estate.id_of("crm.customer:1001")
    preferences = estate.store.landing["crm.contactpreference"]
    (gone,) = preferences.find({"CustomerId": 1001}).limit(1)
    preferences.update_one({"_id": gone["_id"]}, {"$set": {"_sv.deleted": True, "_sv.pending": ["consents"]}})
    estate.run()

    def landed() -> dict[str, int]:
        sections = gather(estate.store, estate.catalogue, jane, actor=HANDLER).sections
        return {section.name: len(section.documents) for section in sections if section.name.startswith("landing.")}

    among_few = landed()
    for module in ("rows", "gather"):
        monkeypatch.setattr(f"sv_assets.privacy.{module}.MANY", 0)
    assert landed() == among_few
    assert among_few["landing.crm.contactpreference"] == preferences.count_documents({"CustomerId": 1001})


def test_who_asks_must_be_known_by_two_things_that_do_not_come_from_each_other(estate: Estate) -> None:
    store, jane = estate.store, estate.id_of("crm.customer:1001")

    def best(**said: object) -> tuple[str, bool, tuple[str, ...]]:
        found = candidates(store, Evidence(**said))  # type: ignore[arg-type]
        return (found[0].customer_id, found[0].is_proven, found[0].against) if found else ("", False, ())

    assert best(email="JANE.SMITH77@example.org") == (jane, False, ())
    assert best(email="jane.smith77+x@example.org", phone="07700900123") == (jane, True, ())
    assert best(email="jane.smith77@example.org", name="Jane Smith") == (jane, False, ()), "a name proves nothing"
    assert best(email="jane.smith77@example.org", date_of_birth=dt.date(1980, 3, 7)) == (jane, True, ())
    assert best(email="jane.smith77@example.org", phone="07700900123", name="Peter Jones") == (jane, False, ("name",))
    assert best(email="jane.smith77@example.org", order="SO3003")[1] is False, "the order is Peter's"
    assert best(order="so3001", postcode="YO1 7HH", house="9") == (jane, True, ())
    assert best(email="nobody@example.org") == ("", False, ())
    assert len(candidates(store, Evidence(phone="01904 960123"))) == 2, "the landline of two people"
    with pytest.raises(ConfigurationError, match="Say who"):
        candidates(store, Evidence(name="Jane Smith"))


def test_people_whose_rows_are_all_deleted_are_found_still(estate: Estate) -> None:
    mary = estate.id_of("crm.customer:1003")
    estate.delete("crm.customer", 1003)
    estate.delete("web.web_account_events", "W-2")
    estate.run()
    assert mary not in estate.customers()
    found = candidates(estate.store, Evidence(email="mary.brown9@example.org", phone="07700 900777"))
    assert [(c.customer_id, c.is_proven) for c in found] == [(mary, True)]
    gathered = gather(estate.store, estate.catalogue, mary, actor=HANDLER)
    assert {"landing.crm.customer", "single_view.customer_history"} <= {s.name for s in gathered.sections}


OWN = Redaction(
    frozenset({"e:jane@x.org", "p:700900123"}), frozenset(), frozenset({"jane", "smith"}), ("Peter Jones",), ("agent",)
)
pieces = st.sampled_from(["jane@x.org", "07700 900123", "rang", "on 2026-03-03", "JANE@X.ORG", "ok"])
strange = st.sampled_from(["peter@y.org", "07700 900999", "Peter Jones", "peter JONES", "+44 7700 900999"])


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(pieces, strange), max_size=8))
def test_whatever_stands_beside_it_others_go_and_ones_own_stays(words: list[str]) -> None:
    text = OWN.document({"notes": [" ; ".join(words)], "Agent": "kim"})["notes"][0].casefold()
    for word in words:
        folded = word.casefold()
        if folded in {"peter@y.org", "07700 900999", "peter jones", "+44 7700 900999"}:
            assert folded not in text
        else:
            assert folded in text
    assert OWN.document({"Agent": "kim", "actor": "Jo Ray", "factor": 2}) == {
        "Agent": OTHER,
        "actor": OTHER,
        "factor": 2,
    }
