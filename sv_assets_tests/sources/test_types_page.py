"""docs/types.md is the table that the code goes by."""

from sv_assets.settings import PROJECT_ROOT
from sv_assets.sources.types import types_as_markdown


def test_the_page_of_types_is_the_table_of_types() -> None:
    page = (PROJECT_ROOT / "docs" / "types.md").read_text()
    assert page.endswith(types_as_markdown()), "render it again: sv_assets.sources.types.types_as_markdown()"
