"""Loading fast changes nothing about what is loaded, and leaves nothing behind."""

import datetime as dt
import gc
import os
from pathlib import Path

import pytest
import yaml
from dagster.components.core import decl
from dagster_shared.yaml_utils import parse_yamls_with_source_position

from sv_assets.catalogue import load_catalogue
from sv_assets.components.loading import quick_loading
from sv_assets.settings import PROJECT_ROOT

DECLARATIONS = sorted((PROJECT_ROOT / "sv_assets" / "defs" / "legacy").glob("*/defs.yaml"))


@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda path: path.parent.name)
def test_a_declaration_is_read_as_dagster_reads_it_with_the_lines_of_its_uppermost_keys(path: Path) -> None:
    slow = parse_yamls_with_source_position(path.read_text(), str(path))
    with quick_loading():
        quick = decl.parse_yamls_with_source_position(path.read_text(), str(path))
    assert len(quick) == len(slow) > 0
    for ours, dagsters in zip(quick, slow, strict=True):
        assert plain(ours.value) == plain(dagsters.value)
        assert ours.source_position_tree.position == dagsters.source_position_tree.position
        for key, tree in dagsters.source_position_tree.children.items():
            assert ours.source_position_tree.children[key].position == tree.position


def plain(value: object) -> object:
    """Dagster leaves dates as text."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, dt.date) else value


def test_what_is_not_yaml_is_said_as_dagster_says_it() -> None:
    with pytest.raises(yaml.YAMLError) as slow:
        parse_yamls_with_source_position("a: [1", "defs.yaml")
    with quick_loading(), pytest.raises(yaml.YAMLError) as quick:
        decl.parse_yamls_with_source_position("a: [1", "defs.yaml")
    assert str(quick.value) == str(slow.value)


def test_what_was_set_for_loading_is_set_back_also_after_an_error() -> None:
    before = decl.parse_yamls_with_source_position
    with quick_loading():
        assert not gc.isenabled()
    with pytest.raises(ZeroDivisionError), quick_loading():
        1 / 0  # noqa: B018
    assert gc.isenabled()
    assert decl.parse_yamls_with_source_position is before


def test_a_catalogue_is_read_again_when_a_file_changes_and_only_then(tmp_path: Path) -> None:
    place = tmp_path / "crm" / "defs.yaml"
    place.parent.mkdir()
    text = next(path for path in DECLARATIONS if path.parent.name == "crm").read_text()
    place.write_text(text)
    first = load_catalogue(tmp_path)
    assert load_catalogue(tmp_path) is first
    place.write_text(text.replace("max_connections: 2", "max_connections: 7"))
    os.utime(place, ns=(1, 1))
    assert {source.sql_system.max_connections for source in load_catalogue(tmp_path).sources} == {7}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "defs.yaml").write_text(text.replace("system: crm\n", "system: crm2\n", 1))
    assert len(load_catalogue(tmp_path).sources) == 2 * len(first.sources)
