"""The model: it scores as scikit-learn does, is stored as plain numbers, is repeatable, is told what was fraud, and drifts."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from sv_assets.errors import ConfigurationError, SvError
from sv_assets.fraud import forest
from sv_assets.fraud.cases import case_id
from sv_assets.fraud.contributions import contributions
from sv_assets.fraud.drift import drift, index
from sv_assets.fraud.forest import grow, read_forest
from sv_assets.fraud.model import _GRID, Model, applied, load, refresh_model, share_in, train
from sv_assets.fraud.review import decide
from sv_assets.fraud.rules import anomaly_points, fired
from sv_assets.fraud.scoring import refresh_scores, scored
from sv_assets.fraud.settings import DEFAULT, load_settings
from sv_assets.fraud.signals import NAMES
from sv_assets.mongo import Document, Store, content_hash
from sv_assets_tests.fraud.shop import START, order, put_orders, run

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.timezone.utc)
SETTINGS = load_settings()
FEW = SETTINGS.model_copy(update={"model": SETTINGS.model.model_copy(update={"train_from": 50, "trees": 30})})


def ordinary(number: int, chance: np.random.Generator, **more: float) -> Document:
    """A signals document as of an ordinary order."""
    usual = dict.fromkeys(NAMES, 0.0)
    usual |= {"value": float(chance.gamma(2, 40)), "known_days": float(chance.integers(0, 366)), "value_ratio": float(chance.gamma(4, 0.25))}  # fmt: skip
    usual |= {"customer_orders_7d": float(chance.integers(0, 2)), "delivered_elsewhere": float(chance.random() < 0.05)}
    usual |= {"card_orders_1h": float(chance.random() < 0.05), "declined_24h": float(chance.random() < 0.05)}
    made: Document = {
        "_id": f"o{number}", "customer_id": f"C{number}", "at": START + dt.timedelta(hours=number),
        "signals": {**usual, **more}, "explained": [], "charged_back": False, "fraud": False,
    }  # fmt: skip
    return {**made, "_sv": {"hash": content_hash(made), "pending": ["scores"], "revision": 1}}


@pytest.fixture
def trained(store: Store) -> Store:
    chance = np.random.default_rng(3)
    store.fraud["signals"].insert_many([ordinary(n, chance) for n in range(400)])
    refresh_model(store, FEW, NOW)
    return store


def test_scores_are_those_of_scikit_learn_and_survive_being_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.ensemble import IsolationForest

    chance = np.random.default_rng(1)
    rows = np.concatenate([chance.normal(size=(500, 6)), chance.integers(0, 3, size=(500, 6)).astype(float)])
    theirs = IsolationForest(n_estimators=40, max_samples=128, random_state=5).fit(rows.astype(np.float32))
    ours = grow(rows, trees=40, sample=128, seed=5)
    expected = -theirs.score_samples(rows.astype(np.float32))
    assert np.allclose(ours.scores(rows), expected, atol=1e-12)
    assert np.array_equal(read_forest(ours.stored()).scores(rows), ours.scores(rows))
    whole = ours.scores(rows)
    monkeypatch.setattr(forest, "_TOGETHER", 40 * 7)
    assert np.array_equal(ours.scores(rows), whole)


def test_a_stored_model_that_is_no_forest_is_refused(trained: Store) -> None:
    model = applied(trained)
    assert model is not None
    endless = np.zeros(len(model.forest.left), dtype="<i4").tobytes()
    trained.fraud["models"].update_one({"_id": model.version}, {"$set": {"forest.left": endless}})
    with pytest.raises(SvError, match="sv fraud train"):
        load(trained, model.version)
    for _ in range(2):
        mended, anew = refresh_model(trained, FEW, NOW)
        assert mended is not None and (mended.version, anew) == (model.version, True), "as it says, training mends it"
        trained.fraud["models"].delete_many({})


def test_training_is_repeatable_and_leaves_out_what_is_known_to_be_fraud(trained: Store) -> None:
    first = applied(trained)
    assert first is not None
    again = train(trained, FEW, NOW + dt.timedelta(days=1))
    assert again is not None
    assert (again.version, again.trained_at) == (first.version, NOW)
    trained.fraud["signals"].update_many({"_id": {"$in": ["o1", "o2"]}}, {"$set": {"fraud": True}})
    trained.fraud["signals"].update_one({"_id": "o3"}, {"$set": {"charged_back": True}})
    other = train(trained, FEW, NOW)
    assert other is not None
    assert (other.version != first.version, other.orders) == (True, 397)


def test_it_is_trained_again_when_old_or_asked_and_not_on_too_few(trained: Store) -> None:
    assert refresh_model(trained, FEW, NOW + dt.timedelta(days=27))[1] is False
    assert refresh_model(trained, FEW, NOW + dt.timedelta(days=28))[1] is True
    assert refresh_model(trained, FEW, NOW + dt.timedelta(days=29))[1] is False, "the same orders gave the same model"
    assert refresh_model(trained, FEW, NOW, again=True)[1] is True
    more = FEW.model_copy(update={"model": FEW.model.model_copy(update={"trees": 40})})
    assert [refresh_model(trained, more, NOW)[1] for _ in range(2)] == [True, False], "other settings, another model"
    too_few = FEW.model_copy(update={"model": FEW.model.model_copy(update={"train_from": 1_000})})
    assert train(trained, too_few, NOW) is None


def test_what_stands_out_is_told_and_another_model_scores_everybody_again(trained: Store) -> None:
    chance = np.random.default_rng(9)
    strange = ordinary(999, chance, card_orders_1h=9.0, declined_24h=12.0, value=4_000.0)
    model = applied(trained)
    assert model is not None
    (score,) = scored([strange], FEW, model)
    assert score["anomaly"] > 0.99
    assert {c["signal"] for c in score["contributions"]} <= {"card_orders_1h", "declined_24h", "value"}
    assert sum(c["share"] for c in score["contributions"]) == pytest.approx(1, abs=0.2)
    rows = model.rows([{name: float(v) for name, v in zip(NAMES, model.typical, strict=True)}])
    assert contributions(model, rows, model.forest.scores(rows)) == [[]]
    assert refresh_scores(trained, FEW).read == 400
    assert refresh_scores(trained, FEW).read == 0
    trained.fraud["signals"].update_one({"_id": "o1"}, {"$set": {"fraud": True}})
    refresh_model(trained, FEW, NOW, again=True)
    assert refresh_scores(trained, FEW).read == 400


def test_what_many_ordinary_orders_have_is_above_none_of_them() -> None:
    same = np.tile(np.arange(8.0), (96, 1))
    for rows, expected in ((same, [0.0, 0.0]), (np.concatenate([same, same[:4] + 50]), [0.0, 0.96])):
        grown = grow(rows, trees=20, sample=64, seed=1)
        levels = np.quantile(grown.scores(rows), _GRID)
        model = Model("m", NAMES[:8], grown, same[0], levels, _GRID, {}, NOW, len(rows))
        assert model.rarity(grown.scores(rows[[0, -1]])) == pytest.approx(expected, abs=0.02)
        assert model.rarity(np.array([1.0])).tolist() == [1.0]


def test_drift_is_seen_in_the_signal_that_drifted(trained: Store) -> None:
    model = applied(trained)
    assert model is not None
    declared = SETTINGS.drift.model_copy(update={"at_least": 50, "days": 3})
    assert drift(trained, model, declared, NOW).beyond(0.5) == {}
    trained.fraud["signals"].update_many({}, {"$set": {"signals.declined_24h": 3.0}})
    assert list(drift(trained, model, declared, NOW).beyond(0.5)) == ["declined_24h"]
    trained.fraud["signals"].insert_one(
        {**ordinary(999, np.random.default_rng(5)), "at": NOW + dt.timedelta(days=9_999)}
    )
    assert list(drift(trained, model, declared, NOW).beyond(0.5)) == ["declined_24h"], "one order is of the year 2053"
    assert drift(trained, model, declared.model_copy(update={"at_least": 1_000}), NOW).by_signal == {}, (
        "too few orders tell nothing"
    )


def test_shares_are_whole_and_the_index_of_the_same_is_nothing() -> None:
    shares = share_in(np.array([0.0, 1.0, 1.0, 2.0]), np.array([1.0, 2.0]))
    assert shares.tolist() == [0.25, 0.5, 0.25]
    assert index(shares, shares) == 0
    assert index(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == pytest.approx(0.2747, abs=1e-4)


def test_a_decision_leaves_the_training(store: Store) -> None:
    put_orders(store, [order(n, START + dt.timedelta(minutes=n), device="d", total=9) for n in range(6)])
    run(store)
    decide(store, [case_id("sales.orderheader:5")], "fraud", by="ann", why="seen")
    run(store)
    found = store.fraud["signals"].find_one({"_id": "sales.orderheader:5"})
    assert found is not None
    assert found["fraud"] is True


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("trees: 100, sample: 256", "trees: 1000, sample: 4096", "more than one document holds"),
        ("train_from: 500", "train_from: 30000", "no model would ever be trained"),
        ("name: card_testing_on_device", "name: anomaly", "the model's own points"),
        ("device_orders_1h: {at_least: 2}", "device_orders: {at_least: 2}", "there is no signal device_orders"),
        ("name: card_testing_on_device", "name: card_testing_on_card", "the same name"),
        ("at_least: 2}", "at_least: 2, at_most: 1}", "nothing is at least 2.0 and at most 1.0"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(tmp_path: Path, was: str, becomes: str, says: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(DEFAULT.read_text().replace(was, becomes, 1))
    with pytest.raises(ConfigurationError, match=says):
        load_settings(file)


def test_rules_hold_at_both_ends_and_points_are_of_the_highest_level() -> None:
    rule = next(r for r in SETTINGS.rules if r.name == "card_testing_on_device")
    at_the_ends = {"device_orders_1h": 2.0, "value": 60.0, "known_days": 30.0}
    assert rule in fired(SETTINGS, at_the_ends)
    assert rule not in fired(SETTINGS, {**at_the_ends, "value": 60.01})
    assert rule not in fired(SETTINGS, {**at_the_ends, "device_orders_1h": 1.99})
    assert [anomaly_points(SETTINGS.anomaly, rarity) for rarity in (None, 0.5, 0.995, 0.9999)] == [0, 0, 15, 30]
