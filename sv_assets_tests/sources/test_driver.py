"""The driver that is found, and what SQL Server is told when we connect."""

import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from sv_assets.errors import ConfigurationError
from sv_assets.sources import driver
from sv_assets.sources.driver import find_driver, odbc_keywords, odbc_string

WHEEL = "libmsodbcsql-18"


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(driver, "_installed", lambda: list(names))


def test_an_installed_driver_of_microsoft_comes_first_and_the_newer_one_before_the_older(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, "FreeTDS", "ODBC Driver 17 for SQL Server", "ODBC Driver 18 for SQL Server")
    assert find_driver().name == "ODBC Driver 18 for SQL Server"
    installed(monkeypatch, "ODBC Driver 17 for SQL Server")
    assert find_driver().name == "ODBC Driver 17 for SQL Server"


def test_the_wheel_carries_one_for_machines_that_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "FreeTDS")
    found = find_driver()
    assert Path(found.name).is_file()
    assert WHEEL in found.name
    assert "mssql-python-odbc" in found.reason


def test_freetds_comes_last_and_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "FreeTDS")
    monkeypatch.setattr(driver, "_from_wheel", lambda: None)
    assert find_driver().name == "FreeTDS"
    assert "ApplicationIntent" in find_driver().warning


def test_no_driver_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    monkeypatch.setattr(driver, "_from_wheel", lambda: None)
    with pytest.raises(ConfigurationError, match="pip install mssql-python-odbc"):
        find_driver()


def test_a_missing_unixodbc_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyodbc", None)
    with pytest.raises(ConfigurationError, match="apt-get install unixodbc"):
        find_driver()


@pytest.mark.parametrize(
    "url",
    [
        "mssql+pyodbc://u:p%40ss@host:1444/Shop?driver=X",
        "mssql+pyodbc:///?odbc_connect=Driver%3DX%3BServer%3Dhost%2C1444%3BDatabase%3DShop%3BUID%3Du%3BPWD%3Dp%40ss",
    ],
)
def test_both_forms_of_a_url_say_the_same(url: str) -> None:
    keywords = odbc_keywords(sa.make_url(url), read_only=True)
    assert keywords == {
        "driver": "X", "server": "host,1444", "database": "Shop", "uid": "u", "pwd": "p@ss",
        "app": "single-customer-view", "applicationintent": "ReadOnly", "encrypt": "yes",
    }  # fmt: skip


def test_what_the_url_says_wins_over_what_we_would_say() -> None:
    url = sa.make_url(
        "mssql+pyodbc://u:p@h/d?driver=X&Encrypt=no&ApplicationIntent=ReadWrite&APP=theirs&MultiSubnetFailover=Yes"
    )
    keywords = odbc_keywords(url, read_only=True)
    assert (keywords["encrypt"], keywords["applicationintent"], keywords["app"]) == ("no", "ReadWrite", "theirs")
    assert keywords["multisubnetfailover"] == "Yes"


@pytest.mark.parametrize(
    ("url", "keyword"),
    [
        ("mssql+pyodbc://h/d?driver=X", ("trusted_connection", "yes")),
        ("mssql+pyodbc://h/d?driver=X&Authentication=ActiveDirectoryMsi", ("authentication", "ActiveDirectoryMsi")),
        ("mssql+pyodbc://app:s@h/d?driver=X&Authentication=ActiveDirectoryServicePrincipal", ("uid", "app")),
    ],
)
def test_integrated_and_entra_log_ins_pass_through(url: str, keyword: tuple[str, str]) -> None:
    keywords = odbc_keywords(sa.make_url(url), read_only=True)
    assert keywords[keyword[0]] == keyword[1]
    assert ("trusted_connection" in keywords) == (keyword[0] == "trusted_connection")


def test_a_data_source_name_brings_its_own_driver() -> None:
    keywords = odbc_keywords(sa.make_url("mssql+pyodbc:///?odbc_connect=DSN%3Dlegacy"), read_only=True)
    assert keywords["dsn"] == "legacy"
    assert "driver" not in keywords


@pytest.mark.parametrize("password", ["a;b", "{", "}", "a}b;PWD=x", "a=b", " ", "ü ë", "p@ss"])
def test_any_password_comes_through_whole(password: str) -> None:
    text = odbc_string({"driver": "X", "pwd": password})
    url = sa.URL.create("mssql+pyodbc", query={"odbc_connect": text})
    assert odbc_keywords(url, read_only=True)["pwd"] == password
