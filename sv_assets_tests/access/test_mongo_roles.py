"""The declared roles in MongoDB itself: what their views show, and what a log-in can read."""

import json

import pytest

from sv_assets.access import load_roles, mongo_roles
from sv_assets.access.fields import Fields
from sv_assets.access.mongo_roles import apply, check, enforces_roles, views
from sv_assets.access.roles import Roles
from sv_assets.errors import SvError
from sv_assets.mongo import Store
from sv_assets_tests.access.test_roles import full_document, leaf_paths
from sv_assets_tests.command_line import run_sv


def without(roles: Roles, *names: str) -> Roles:
    return roles.model_copy(update={"roles": {n: r for n, r in roles.roles.items() if n not in names}})


@pytest.fixture
def applied(store: Store) -> Store:
    """A store with one customer, and roles applied; they are removed again, because roles are of the whole server."""
    store.single_view["customers"].insert_one(full_document(leaf_paths()))
    apply(store, load_roles())
    yield store
    apply(store, without(load_roles(), *load_roles().roles))


def test_a_view_shows_what_its_role_sees_in_clear_to_the_field(applied: Store) -> None:
    document = applied.single_view["customers"].find_one({}) or {}
    seen = []
    for view in views(applied, load_roles()):
        if view.source != "customers":
            continue
        (shown,) = applied.client[view.database][view.name].find({})
        clear = load_roles().roles[view.role].collections["single_view.customers"].clear
        assert shown == Fields(dict.fromkeys(clear, "clear")).of(document), view.role
        seen.append(view.role)
    assert set(seen) == set(load_roles().roles)


def test_a_view_shows_nothing_of_what_no_projection_can_take_a_part_out_of() -> None:
    hides = {
        "_id": "clear",
        "enrichments.**": "clear",
        "enrichments.*.secret": "hidden",
        "a.b": "clear",
        "a.*": "masked",
    }
    assert mongo_roles.pipeline_of(hides) == [{"$project": {"_id": 1, "a.b": 1}}]  # type: ignore[arg-type]


def test_views_are_no_collections_to_whoever_looks_for_what_is_held(applied: Store) -> None:
    from sv_assets.privacy.declaration import collections_of, load_declaration, undeclared

    held = [name for _, name in collections_of(applied, load_declaration())]
    assert "customers" in held and not any("_as_" in name for name in held)
    assert undeclared(applied, load_declaration()) == []


def test_applied_again_nothing_changes_and_what_is_declared_no_more_goes(applied: Store) -> None:
    again = apply(applied, load_roles())
    assert (again.created, again.changed, again.removed) == ([], [], [])
    fewer = without(load_roles(), "marketing")
    dry = apply(applied, fewer, dry_run=True)
    assert dry.removed == [
        f"{applied.prefix}single_view.customers_as_marketing",
        f"{applied.prefix}marketing.audience_as_marketing",
        f"role {mongo_roles.role_name(applied, 'marketing')}",
    ]
    assert apply(applied, fewer).removed == dry.removed
    assert "customers_as_marketing" not in applied.single_view.list_collection_names()
    assert apply(applied, load_roles()).created == dry.removed


def test_roles_of_another_team_stay_although_they_are_called_as_ours_are(applied: Store) -> None:
    admin, name = applied.client.admin, f"{mongo_roles.role_name(applied, '')}team_sv_marketing"
    theirs = {"resource": {"db": f"{name}_single_view", "collection": "customers"}, "actions": ["find"]}
    admin.command("createRole", name, privileges=[theirs], roles=[])
    try:
        assert apply(applied, load_roles()).removed == []
    finally:
        admin.command("dropRole", name)


def test_a_view_that_somebody_changed_is_made_again(applied: Store) -> None:
    database = applied.single_view
    database.drop_collection("customers_as_marketing")
    database.command("create", "customers_as_marketing", viewOn="customers", pipeline=[])
    assert apply(applied, load_roles()).changed == [f"{database.name}.customers_as_marketing"]
    assert "names" not in (database["customers_as_marketing"].find_one({}) or {})


def test_log_ins_read_their_views_and_nothing_else_where_the_server_enforces_it(applied: Store) -> None:
    tried = check(applied, load_roles())
    assert all(one.could for one in tried if one.allowed)
    if enforces_roles(applied):
        assert [one for one in tried if not one.is_right] == []
    else:
        assert any(not one.is_right for one in tried), "the embedded server lets every log-in read all"
    assert apply(applied, load_roles(), views_only=True).unchanged == len(views(applied, load_roles()))
    users = applied.client.admin.command("usersInfo", 1)["users"]
    assert not any(user["user"].startswith(applied.prefix) for user in users)


def test_roles_that_were_not_applied_are_not_tried(store: Store) -> None:
    with pytest.raises(SvError, match="sv roles apply"):
        check(store, load_roles())


def test_the_commands_say_what_was_done_and_whether_it_is_enforced(store: Store) -> None:
    dry = json.loads(run_sv("roles", "apply", "--dry-run", "--json").stdout)
    assert dry["created"] and store.single_view.list_collection_names() == []
    try:
        assert json.loads(run_sv("roles", "apply", "--json").stdout)["created"] == dry["created"]
        ended = run_sv("roles", "check", "--json")
        assert ended.returncode == (0 if enforces_roles(store) else 1)
        assert json.loads(ended.stdout)["enforced"] == enforces_roles(store)
        assert ("does not enforce roles" in ended.stderr) != enforces_roles(store)
    finally:
        apply(store, without(load_roles(), *load_roles().roles))
    shown = run_sv("roles", "show")
    assert all(role in shown.stdout for role in load_roles().roles)
    assert run_sv("roles", "show", "root").returncode == 2
    assert json.loads(run_sv("roles", "show", "marketing", "--json").stdout)["marketing"]["purposes"] == ["campaign"]


def test_who_read_whom_is_for_the_privacy_officer(store: Store) -> None:
    assert run_sv("find", "--email", "nobody@example.com").returncode == 1
    assert run_sv("roles", "log").returncode == 1
    officer = ("--as", "privacy_officer", "--purpose", "audit", "--reason", "A-1")
    newest = json.loads(run_sv("roles", "log", *officer, "--json").stdout)
    assert [(e["command"], e["outcome"]) for e in newest] == [("sv roles log", "refused"), ("sv find", "nobody")]
    assert run_sv("roles", "log", "--customer", "C1", *officer).returncode == 0
