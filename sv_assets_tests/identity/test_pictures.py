"""Pictures: well-formed whatever the data, with the numbers in words, and bars where the numbers say."""

import base64
import dataclasses
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sv_assets.identity.comparisons import LEVELS, NULL
from sv_assets.identity.pictures import (
    Explanation,
    Record,
    Step,
    Weighing,
    as_markdown,
    capped_blocks,
    cluster_sizes,
    comparison_in_words,
    level_in_words,
    match_weights,
    rule_contributions,
    waterfall,
)
from sv_assets.pictures.svg import about, count, in_bits, shortened, width_of
from sv_assets_tests.examples import examples

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert(\'1\')</script>" onload="x" &amp; ]]> \x00\ud800\u202e'
ANY_TEXT = st.text(st.characters(codec=None), max_size=20) | st.just(EVIL)
COUNTS = st.integers(0, 10**12)
BITS = st.floats(-300, 300)
few = settings(max_examples=examples(30), deadline=None)


def words_of(picture: ET.Element) -> list[str]:
    """The words drawn, without what only shows where the mouse rests."""
    return [(text.text or "") + "".join(child.tail or "" for child in text) for text in picture.iter(f"{SVG}text")]


def bars_of(picture: ET.Element) -> list[tuple[str, float, float, float]]:
    """What each bar says, its left and right edge and its height."""
    return [
        (
            says.text or "",
            float(bar.get("x", "")),
            float(bar.get("x", "")) + float(bar.get("width", "")),
            float(bar.get("height", "")),
        )
        for bar in picture.iter(f"{SVG}rect")
        if (says := bar.find(f"{SVG}title")) is not None
    ]


def threshold_of(picture: ET.Element) -> float:
    (line,) = [line for line in picture.iter(f"{SVG}line") if line.get("class") == "s-threshold"]
    assert line.get("x1") == line.get("x2")
    return float(line.get("x1", ""))


def axis_of(picture: ET.Element) -> dict[float, float]:
    """The x axis as its labels say: weight to place. Only one weight axis a picture, whose labels are in the middle."""
    marks = {}
    for text in picture.iter(f"{SVG}text"):
        if (
            text.get("text-anchor") == "middle"
            and re.fullmatch(r"−?[\d.]+", text.text or "")
            and text.get("stroke") is None
        ):
            marks[float((text.text or "").replace("−", "-"))] = float(text.get("x", ""))
    return marks


def on_axis(picture: ET.Element, weight: float) -> float:
    marks = sorted(axis_of(picture).items())
    (low, at_low), (high, at_high) = marks[0], marks[-1]
    return at_low + (weight - low) / (high - low) * (at_high - at_low)


def assert_safe(text: str) -> ET.Element:
    """Well-formed, nothing that runs or is loaded, and no id twice."""
    root = ET.fromstring(text)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        assert name not in ("script", "image", "use", "foreignObject", "a", "link", "img", "iframe")
        for attribute, value in element.attrib.items():
            assert not attribute.lower().startswith("on") and not attribute.endswith(("href", "src"))
            assert not value.startswith("url(") or value.startswith("url(#")
    return root


def assert_accessible(picture: ET.Element) -> None:
    labels = {element.get("id"): element for element in picture if element.get("id")}
    title, description = (labels[name] for name in picture.get("aria-labelledby", "").split())
    assert picture.get("role") == "img"
    assert title.tag == f"{SVG}title" and title.text
    assert description.tag == f"{SVG}desc" and description.text


def assert_inside(picture: ET.Element) -> None:
    """No bar and no words outside the card."""
    _, _, width, height = (float(n) for n in picture.get("viewBox", "").split())
    for bar in picture.iter(f"{SVG}rect"):
        if bar.get("x") is None:
            continue
        x, y = float(bar.get("x", "")), float(bar.get("y", ""))
        assert x >= 0 and x + float(bar.get("width", "")) <= width + 0.02
        assert y >= 0 and y + float(bar.get("height", "")) <= height + 0.02
    for text, words in zip(picture.iter(f"{SVG}text"), words_of(picture), strict=True):
        x, size, drawn = (
            float(text.get("x", "")),
            float(text.get("font-size", "")),
            width_of(words, float(text.get("font-size", ""))),
        )
        if text.get("transform"):
            assert float(text.get("y", "")) - drawn > 50
            continue
        left = x - {"middle": drawn / 2, "end": drawn}.get(text.get("text-anchor", ""), 0)
        assert left >= 0 and left + drawn <= width + 1, words
        assert size <= float(text.get("y", "")) + 1 and float(text.get("y", "")) <= height


# --- cluster sizes ---------------------------------------------------------------------------------------------------


def test_cluster_sizes_above_ten_are_binned_and_figures_are_at_the_bars() -> None:
    picture = assert_safe(
        cluster_sizes({1: 5000, 2: 300, 10: 4, 11: 2, 20: 3, 50: 7, 100: 8, 101: 1, 200: 1, 201: 6, 9000: 1})
    )
    says = {says for says, *_ in bars_of(picture)}
    assert {
        "1 record: 5,000 customers",
        "11–20 records: 5 customers",
        "101–200 records: 2 customers",
        ">200 records: 7 customers",
    } <= says
    assert {"5,000", "300", "4", "5", "7", "8", "2", ">200", "51–100"} <= set(words_of(picture))


def test_cluster_sizes_are_in_proportion_unless_the_smallest_would_vanish() -> None:
    near = [height for *_, height in bars_of(ET.fromstring(cluster_sizes({1: 20, 2: 10})))]
    assert near[0] == pytest.approx(2 * near[1])
    far = ET.fromstring(cluster_sizes({1: 1_000_000, 2: 1}))
    assert "logarithmic scale" in words_of(far)
    assert min(height for *_, height in bars_of(far)) > 5


def test_cluster_sizes_say_how_many_customers_and_records_there_are() -> None:
    assert "8 customers with 11 records." in words_of(ET.fromstring(cluster_sizes({1: 5, 2: 3})))


@few
@given(st.dictionaries(st.integers(1, 10**6), COUNTS, max_size=30))
def test_cluster_sizes_take_any_counts(counts: dict[int, int]) -> None:
    picture = assert_safe(cluster_sizes(counts))
    assert_accessible(picture)
    assert_inside(picture)
    drawn = [int(says.split(": ")[1].split()[0].replace(",", "")) for says, *_ in bars_of(picture)]
    assert sum(drawn) == sum(counts.values())
    if not sum(counts.values()):
        assert "Nothing to show yet." in words_of(picture)


# --- match weights ---------------------------------------------------------------------------------------------------


def test_threshold_line_is_where_the_axis_says_and_bars_below_it_are_hatched() -> None:
    text = match_weights([(bits, 10) for bits in range(-20, 21)], 0.5)
    picture = assert_safe(text)
    assert threshold_of(picture) == pytest.approx(on_axis(picture, 0.5), abs=0.1)
    assert "threshold 0.5" in words_of(picture)
    for bar in picture.iter(f"{SVG}rect"):
        if bar.find(f"{SVG}title") is not None:
            below = float(bar.get("x", "")) + 0.1 < threshold_of(picture)
            assert ("url(#" in bar.get("fill", "")) is below


def test_bar_that_the_threshold_falls_into_is_hatched_up_to_it() -> None:
    pieces = bars_of(ET.fromstring(match_weights([(0, 7), (1, 3)], 0.25)))
    hatched, solid = (piece for piece in pieces if piece[0] == "0 to 1 bits: 7 pairs")
    assert hatched[2] == pytest.approx(solid[1], abs=0.02)
    assert hatched[2] - hatched[1] < solid[2] - solid[1]


def test_two_hundred_weights_are_drawn_in_wider_bars_with_nothing_lost() -> None:
    picture = assert_safe(match_weights([(bits, bits + 101) for bits in range(-100, 100)], -3))
    numbers = {says: int(says.split(": ")[1].split()[0].replace(",", "")) for says, *_ in bars_of(picture)}
    assert len(numbers) <= 60
    assert sum(numbers.values()) == sum(range(1, 201))


def test_threshold_beyond_all_weights_is_still_seen() -> None:
    picture = assert_safe(match_weights([(-5, 1)], 31))
    assert threshold_of(picture) == pytest.approx(on_axis(picture, 31), abs=0.1)


@few
@given(
    st.lists(st.tuples(st.integers(-400, 400), COUNTS), max_size=200),
    st.floats(-400, 400) | st.sampled_from([math.inf, math.nan]),
)
def test_match_weights_take_any_histogram(histogram: list[tuple[int, int]], threshold: float) -> None:
    picture = assert_safe(match_weights(histogram, threshold))
    assert_accessible(picture)
    assert_inside(picture)
    numbers = {says: int(says.split(": ")[1].split()[0].replace(",", "")) for says, *_ in bars_of(picture)}
    assert sum(numbers.values()) == sum(number for _, number in histogram)
    if numbers and math.isfinite(threshold):
        assert threshold_of(picture) == pytest.approx(on_axis(picture, threshold), abs=0.2)


# --- rules and blocks ------------------------------------------------------------------------------------------------


def test_rules_are_drawn_in_proportion_the_most_first() -> None:
    picture = assert_safe(rule_contributions({"email_and_name": 250, "model": 1000, "given_by_source": 0}))
    assert [says for says, *_ in bars_of(picture)] == [
        "model: 1,000 links",
        "email and name: 250 links",
        "given by source: 0 links",
    ]
    lengths = [right - left for _, left, right, _ in bars_of(picture)]
    assert lengths[0] == pytest.approx(4 * lengths[1], abs=0.1) and lengths[2] == 0
    assert {"1,000", "250", "0", "1,250 links"} <= set(words_of(picture))


def test_two_hundred_rules_end_in_one_bar_for_the_rest() -> None:
    bars = bars_of(assert_safe(rule_contributions({f"rule_{n}": 1 for n in range(200)})))
    assert len(bars) == 31 and bars[-1][0] == "170 more: 170 links"


@few
@given(st.dictionaries(ANY_TEXT, COUNTS, max_size=40))
def test_rule_contributions_take_any_names(counts: dict[str, int]) -> None:
    picture = assert_safe(rule_contributions(counts))
    assert_accessible(picture)
    assert_inside(picture)


def test_capped_blocks_are_summed_by_rule_the_largest_first() -> None:
    assert capped_blocks([("surname", 40, 30), ("email", 2500, 100), ("surname", 60, 30)]).splitlines()[2:] == [
        "| email | 1 | 2,500 | 2,500 | 100 |",
        r"| surname | 2 | 100 | 60 | 30 |",
    ]
    assert capped_blocks([]) == "No block was left out."


@few
@given(ANY_TEXT)
def test_capped_blocks_keep_their_columns_whatever_a_rule_is_called(name: str) -> None:
    row = capped_blocks([(name, 40, 30)]).split("\n")[2]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == 6
    assert not re.search(r"(?<!\\)(?:\\\\)*<", row)


def test_many_rules_of_blocks_are_cut_with_a_row_for_the_rest() -> None:
    lines = capped_blocks([(f"rule {n}", 1000 - n, 30) for n in range(35)]).splitlines()
    assert len(lines) == 2 + 30 + 1
    assert lines[-1] == "| 5 more rules | 5 | 4,840 | 970 | |"


# --- the page of one pair --------------------------------------------------------------------------------------------

PAIR = Explanation(
    left=Record("crm", "customer", "1234"),
    right=Record("till", "member", "A-99"),
    verdict="One person: 5.0 bits are above the threshold of 0.5.",
    weight=5.0,
    threshold=0.5,
    strangers=Weighing(
        -16.0,
        (
            Step("first_name", "exact", 7.0, 1.5, "Ann", "Ann"),
            Step("title", NULL, 0.0),
            Step("birth_date", "else", -3.25, 0.0, "1980-03-07", "1981-04-08"),
            Step("id_loyalty_card", "exact", 20.0, 0.0, "6335", "6335"),
        ),
    ),
    household=Weighing(
        -14.0,
        (
            Step("first_name", "exact", 7.0, 1.5),
            Step("title", NULL, 0.0),
            Step("birth_date", "else", -3.0),
            Step("id_loyalty_card", "exact", 20.0),
        ),
    ),
    caution=3.0,
    model="m-123456789abc",
)


def pictures_of(page: str) -> dict[str, ET.Element]:
    return {
        str(picture.get("aria-labelledby")).partition("-")[0]: picture
        for picture in assert_safe(page).iter(f"{SVG}svg")
    }


def test_each_bar_of_the_waterfall_starts_where_the_one_before_ended() -> None:
    picture = pictures_of(waterfall(PAIR))["strangers"]
    at = {says: (left, right) for says, left, right, _ in bars_of(picture)}
    sums = [0.0, -16.0, -7.5, -10.75, 9.25]
    names = ["start: −16.0 bits", "first name: +8.5 bits", "birth date: −3.2 bits", "loyalty card: +20.0 bits"]
    for name, before, after in zip(names, sums, sums[1:], strict=False):
        left, right = sorted((on_axis(picture, before), on_axis(picture, after)))
        assert at[name] == pytest.approx((left, right), abs=0.1)
    ends = (on_axis(picture, 0), on_axis(picture, 9.25))
    assert at[f"weight: {in_bits(9.25)} bits"] == pytest.approx(ends, abs=0.1)


def test_what_cannot_be_compared_has_no_bar_and_is_in_the_table() -> None:
    page = waterfall(PAIR)
    assert not any(says.startswith("title") for says, *_ in bars_of(pictures_of(page)["strangers"]))
    assert "nothing to compare" in page


def test_threshold_against_the_household_is_higher_by_the_caution() -> None:
    pictures = pictures_of(waterfall(PAIR))
    assert threshold_of(pictures["strangers"]) == pytest.approx(on_axis(pictures["strangers"], 0.5), abs=0.1)
    assert threshold_of(pictures["household"]) == pytest.approx(on_axis(pictures["household"], 3.5), abs=0.1)
    assert threshold_of(pictures["together"]) == pytest.approx(on_axis(pictures["together"], 0.5), abs=0.1)
    assert "threshold 0.5 + caution 3" in words_of(pictures["household"])


def test_both_weights_are_combined_as_in_scoring() -> None:
    combined = -math.log2(2**-9.25 + 2 ** (3.0 - 11.5))
    assert PAIR.weight_by_model == pytest.approx(combined)
    assert any(
        says == f"both doubts together: {in_bits(combined)} bits"
        for says, *_ in bars_of(pictures_of(waterfall(PAIR))["together"])
    )


def test_without_household_the_weight_against_strangers_counts_and_is_the_only_picture() -> None:
    alone = dataclasses.replace(PAIR, household=None)
    assert alone.weight_by_model == alone.strangers.total == 9.25
    assert list(pictures_of(waterfall(alone))) == ["strangers"]


def test_rule_that_raises_the_weight_is_said() -> None:
    raised = dataclasses.replace(PAIR, weight=20.0, rules=("email_and_name",))
    assert "A rule that holds raises the weight to 20.0 bits." in waterfall(raised)
    assert "raises the weight" not in waterfall(PAIR)


def test_page_says_who_is_compared_and_what_was_decided() -> None:
    page = waterfall(
        dataclasses.replace(PAIR, conflicts=("birth_date",), decision="two people, by j.doe", notes=("One note.",))
    )
    text = " ".join(assert_safe(page).itertext())
    for said in (
        PAIR.verdict,
        "crm",
        "customer",
        "1234",
        "A-99",
        "birth date",
        "two people, by j.doe",
        "m-123456789abc",
        "One note.",
    ):
        assert said in text
    assert "1980-03-07" in text and "Ann" in text


def test_values_that_the_caller_does_not_give_are_not_on_the_page() -> None:
    steps = [dataclasses.replace(step, left=None, right=None) for step in PAIR.strangers.steps]
    root = assert_safe(waterfall(dataclasses.replace(PAIR, strangers=Weighing(-16.0, steps))))
    heads = [head.text for head in root.iter("th") if head.get("scope") is None]
    assert heads == ["Comparison", "Agreement", "bits against strangers", "bits against household"]


STEPS = st.builds(
    Step,
    ANY_TEXT | st.sampled_from(list(LEVELS)),
    ANY_TEXT | st.just(NULL),
    BITS,
    BITS,
    st.none() | ANY_TEXT,
    st.none() | ANY_TEXT,
)
WEIGHINGS = st.builds(Weighing, BITS, st.lists(STEPS, max_size=5))
RECORDS = st.builds(Record, ANY_TEXT, ANY_TEXT, ANY_TEXT)
EXPLANATIONS = st.builds(
    Explanation,
    left=RECORDS,
    right=RECORDS,
    verdict=ANY_TEXT,
    weight=st.none() | st.floats(),
    threshold=BITS,
    strangers=WEIGHINGS,
    household=st.none() | WEIGHINGS,
    caution=st.floats(0, 20),
    rules=st.lists(ANY_TEXT, max_size=3),
    conflicts=st.lists(ANY_TEXT, max_size=3),
    decision=st.none() | ANY_TEXT,
    model=ANY_TEXT,
    notes=st.lists(ANY_TEXT, max_size=3),
)


@pytest.mark.parametrize("strength", [math.inf, 1.7e308, 1e9])
def test_endless_strength_of_a_rule_is_drawn_to_the_edge_and_does_not_stretch_the_scale(strength: float) -> None:
    page = waterfall(dataclasses.replace(PAIR, weight=strength, rules=("given_by_source",)))
    picture = pictures_of(page)["together"]
    assert_inside(picture)
    assert max(axis_of(picture)) < 20
    lengths = {says.partition(":")[0]: right - left for says, left, right, _ in bars_of(picture)}
    assert max(lengths, key=lambda name: lengths[name]) == "by a rule that holds"


@few
@given(EXPLANATIONS)
def test_page_takes_any_explanation(explanation: Explanation) -> None:
    page = waterfall(explanation)
    page.encode("utf-8")
    for picture in pictures_of(page).values():
        assert_accessible(picture)
        assert_inside(picture)


@few
@given(WEIGHINGS)
def test_total_is_the_start_and_all_steps(weighing: Weighing) -> None:
    assert weighing.total == pytest.approx(
        weighing.start + sum(step.bits + step.rarity for step in weighing.steps), abs=1e-6
    )


@few
@given(EXPLANATIONS.filter(lambda e: e.household is not None))
def test_household_only_ever_adds_doubt(explanation: Explanation) -> None:
    assert explanation.weight_by_model <= explanation.strangers.total


# --- words and numbers -----------------------------------------------------------------------------------------------


def test_every_level_of_every_comparison_has_words() -> None:
    for comparison, levels in LEVELS.items():
        said = [level_in_words(comparison, level) for level in levels]
        assert len(set(said)) == len(said), comparison
        assert not any("_" in words for words in said)


def test_names_of_comparisons_are_words() -> None:
    assert [comparison_in_words(name) for name in ("birth_date", "email", "id_loyalty_card")] == [
        "birth date",
        "e-mail",
        "loyalty card",
    ]


def test_markdown_holds_the_picture_and_its_title_is_only_text() -> None:
    svg = rule_contributions({"王小明": 1})
    found = re.fullmatch(
        r"!\[(.*)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", as_markdown(svg, "a]b\n[c](x) <i>")
    )
    assert found
    assert found[1] == r"a\]b \[c\]\(x\) \<i\>"
    assert base64.b64decode(found[2]).decode() == svg


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1234, "1.23k"),
        (45_670, "45.7k"),
        (999_949, "1M"),
        (1_000_000, "1M"),
        (2_500_000_000, "2.5bn"),
    ],
)
def test_large_counts_are_said_in_three_digits(number: int, said: str) -> None:
    assert about(number) == said


def test_count_is_exact_where_there_is_room() -> None:
    assert count(1_234_567) == "1,234,567"
    assert count(1_234_567, room=30) == "1.23M"


@pytest.mark.parametrize(
    ("bits", "said"),
    [(-0.04, "0.0"), (3.0, "+3.0"), (-3.14, "−3.1"), (math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "?")],
)
def test_bits_are_said_with_one_digit_and_a_true_minus(bits: float, said: str) -> None:
    assert in_bits(bits, signed=True) == said


@pytest.mark.parametrize("text", ["x" * 300, "王小明" * 100, "محمد بن عبد الله " * 20, "short"])
def test_long_labels_are_shortened_to_their_room(text: str) -> None:
    shown = shortened(text, 150, 12)
    assert width_of(shown, 12) <= 150
    assert shown == text or shown.endswith("…")
