"""Who was erased is nowhere, and stays so whatever lands again; what the law wants stays without them."""

from sv_assets.customers.history import composed_part
from sv_assets.privacy.erase import dry_run, erase
from sv_assets_tests.privacy.jane import IDENTIFIERS, Estate, found_anywhere

LATER = ("control.legacy_actions",)


def test_an_erased_person_is_nowhere_and_a_rebuild_and_replay_bring_nothing_back(estate: Estate) -> None:
    store, jane, peter = estate.store, estate.id_of("crm.customer:1001"), estate.id_of("crm.customer:1002")
    before = composed_part(estate.customers()[peter])
    plan = dry_run(store, estate.catalogue, jane)
    print(plan.counts, plan.joined, plan.searched)
    done = erase(store, estate.catalogue, jane, actor="Ann", reason="asked")
    print(done.counts, done.notes, done.found)
    assert done.found == {}
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=LATER) == []
    estate.everything_again()
    assert found_anywhere(store, (*IDENTIFIERS, jane), allowed=LATER) == []
    after = composed_part(estate.customers()[peter])
    assert {name for name in before if before[name] != after[name]} <= {"household"}
    assert set(estate.customers()) == {peter, estate.id_of("crm.customer:1003")}
