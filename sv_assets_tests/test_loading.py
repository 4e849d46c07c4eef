"""Loading fast changes nothing about what is loaded, and leaves nothing behind."""

import gc
import os
from pathlib import Path

import pytest
import yaml
from dagster_shared.yaml_utils import parse_yamls_with_source_position

from sv_assets.catalogue import load_catalogue
from sv_assets.loading import quick_loading
from sv_assets.settings import PROJECT_ROOT

DECLARATIONS = sorted((PROJECT_ROOT / "sv_assets" / "defs" / "legacy").glob("*/defs.yaml"))


@pytest.mark.parametrize("path", DECLARATIONS, ids=lambda path: path.parent.name)
def test_libyaml_gives_what_pyyaml_gives_position_by_position(path: Path) -> None:
    slow = parse_yamls_with_source_position(path.read_text(), str(path))
    with quick_loading():
        quick = parse_yamls_with_source_position(path.read_text(), str(path))
    assert quick == slow


def test_what_was_set_for_loading_is_set_back_also_after_an_error() -> None:
    loader = yaml.SafeLoader
    with quick_loading():
        assert not gc.isenabled()
    with pytest.raises(ZeroDivisionError), quick_loading():
        1 / 0  # noqa: B018
    assert gc.isenabled()
    assert yaml.SafeLoader is loader


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
