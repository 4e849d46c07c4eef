"""The picture of the last runs: well-formed whatever the figures are, and told in words to who cannot see it."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from sv_assets.pictures import Panel, history

FIGURES = st.lists(st.none() | st.floats() | st.integers(0, 10**15), max_size=40)
PANELS = st.lists(
    st.builds(Panel, st.text(max_size=20), FIGURES, st.sampled_from(["", "s"]), st.booleans()), max_size=10
)


@given(st.text(max_size=30), PANELS)
def test_any_figures_make_a_picture(title: str, panels: list[Panel]) -> None:
    ElementTree.fromstring(history("h", title, "some runs.", panels))


def test_every_run_is_a_bar_that_says_its_figure() -> None:
    drawn = history("h", "Runs", "3 runs.", [Panel("read", [1, 0, 1234]), Panel("seconds", [0.03, None, 7200], "s")])
    root = ElementTree.fromstring(drawn)
    said = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert {"1, 2 runs before", "1,234, latest run", "30 ms, 2 runs before", "2 h, latest run"} <= set(said)
    assert not any(text and "1 run before" in text for text in said), "nothing is drawn of nothing"
    assert "read: 1,234; seconds: 2 h" in drawn
