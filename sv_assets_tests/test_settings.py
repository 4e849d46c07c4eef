"""Where the servers are, and that no message gives their passwords away."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sv_assets.errors import ConfigurationError
from sv_assets.settings import masked, require, resolve, resolve_optional, variable


@pytest.fixture(autouse=True)
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SV_LOCAL_DIR", str(tmp_path))
    for name in ("A_URL", "B_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "estate.env"


def test_the_environment_comes_before_the_running_estate(estate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estate.write_text("# servers\nA_URL=estate?x=1&y=2\n\nB_URL=b\n")
    assert variable("A_URL") == "estate?x=1&y=2"
    monkeypatch.setenv("A_URL", "ours")
    assert variable("A_URL") == "ours"
    monkeypatch.setenv("A_URL", "")
    assert variable("A_URL") == "estate?x=1&y=2", "an empty variable is none"
    assert variable("C_URL") is None


def test_an_unset_variable_says_who_needs_it_and_how_to_set_it() -> None:
    with pytest.raises(
        ConfigurationError, match=r"system crm: the environment variable A_URL is not set\. .*sv estate up"
    ):
        require("A_URL", "system crm")


def test_references_are_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_URL", "one")
    assert resolve("{{ env.A_URL }}/{{env.A_URL}}", "x") == "one/one"
    assert resolve("plain", "x") == "plain"
    with pytest.raises(ConfigurationError, match="B_URL"):
        resolve("{{ env.A_URL }}{{ env.B_URL }}", "x")
    assert resolve_optional("{{ env.B_URL }}") is None
    assert resolve_optional(None) is None
    assert resolve_optional("{{ env.A_URL }}") == "one"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://me:s3cret@h:1/x", "mongodb://me:***@h:1/x"), ("mongodb://h:27017/x", "mongodb://h:27017/x"),
        ("mongodb+srv://me:p@ss:w/rd@h/", "mongodb+srv://me:***@h/"), ("at mongodb://:pw@h and x", "at mongodb://:***@h and x"),
        ("mssql+pyodbc://u:s3cret@h/db?driver=ODBC+Driver+18", "mssql+pyodbc://u:***@h/db?driver=ODBC+Driver+18"),
        ("Server=h;UID=u;PWD=s3cret;Encrypt=no", "Server=h;UID=u;PWD=***;Encrypt=no"),
        ("Server=h;Pwd={s3;cret};Encrypt=no", "Server=h;Pwd=***;Encrypt=no"),
        ("odbc_connect=Server%3Dh%3BPWD%3Ds3cret%3BEncrypt%3Dno", "odbc_connect=Server%3Dh%3BPWD%3D***%3BEncrypt%3Dno"),
        ("AWS_SECRET=abc&x=1", "AWS_SECRET=***&x=1"), ("nothing to hide", "nothing to hide"),
    ],
)  # fmt: skip
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8))
def test_no_password_of_a_url_is_ever_shown(password: str) -> None:
    assert (
        password not in masked(f"mongodb://user:{password}@host:27017/") or password in "mongodb://user:***@host:27017/"
    )
