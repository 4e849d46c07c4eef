"""Which ODBC driver reaches SQL Server, and the connection string it is given.

An installed Microsoft driver comes first (18, then 17), then the one that the wheel `mssql-python-odbc` carries, then
FreeTDS with a warning. Keywords: Microsoft, "DSN and Connection String Keywords and Attributes" of the ODBC driver.
"""

import importlib.util
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_plus

import sqlalchemy as sa

from sv_assets.errors import ConfigurationError

APPLICATION = "single-customer-view"
"""What a DBA sees in `program_name` of sys.dm_exec_sessions, and what APP_NAME() says."""
MICROSOFT = ("ODBC Driver 18 for SQL Server", "ODBC Driver 17 for SQL Server")
_KEYWORD = re.compile(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)\s*(?:;|$)")
_SAME = {"address": "server", "addr": "server", "user": "uid", "user id": "uid", "password": "pwd", "app": "app"}


@dataclass(frozen=True)
class Driver:
    """An ODBC driver: its name in odbcinst.ini or the path of its library, why it was chosen, and what to beware of."""

    name: str
    reason: str
    warning: str = ""


def find_driver() -> Driver:
    """The driver for URLs that name none. Raises ConfigurationError that says what to install."""
    installed = _installed()
    for name in MICROSOFT:
        if name in installed:
            return Driver(name, "Microsoft's driver, installed on this machine")
    library = _from_wheel()
    if library is not None:
        return Driver(str(library), "Microsoft's driver from the Python package mssql-python-odbc")
    free = next((name for name in installed if "freetds" in name.lower()), None)
    if free:
        return Driver(
            free,
            "FreeTDS, because no driver of Microsoft was found",
            "FreeTDS cannot say ApplicationIntent, nor log in with Entra. Install the Python package mssql-python-odbc.",
        )
    raise ConfigurationError(
        "No ODBC driver for SQL Server was found. Install one: `pip install mssql-python-odbc`, or Microsoft's msodbcsql18."
    )


def driver_of(url: str) -> Driver:
    """The driver that a connection to this URL uses."""
    given = _given(sa.make_url(url))
    if "dsn" in given:
        return Driver(given["dsn"], "the data source that the connection names")
    return Driver(given["driver"], "the connection names it") if "driver" in given else find_driver()


def odbc_keywords(url: sa.URL, *, read_only: bool) -> dict[str, str]:
    """The keywords that pyodbc connects with, in the order of the URL, ours where the URL does not say otherwise.

    Integrated, SQL and Entra log-in pass through: whatever the URL's query or its `odbc_connect` says is kept.
    """
    keywords = _given(url)
    if "driver" not in keywords and "dsn" not in keywords:
        keywords = {"driver": find_driver().name, **keywords}
    defaults = {
        "app": APPLICATION,
        "applicationintent": "ReadOnly" if read_only else "ReadWrite",
        "encrypt": "yes",
    }
    if "uid" not in keywords and "authentication" not in keywords:
        defaults["trusted_connection"] = "yes"
    return keywords | {name: value for name, value in defaults.items() if name not in keywords}


def odbc_string(keywords: Mapping[str, str]) -> str:
    """`Driver={…};Server=…`, with every value braced that needs it."""
    return ";".join(f"{name}={_braced(value)}" for name, value in keywords.items())


def _given(url: sa.URL) -> dict[str, str]:
    query = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    raw = query.pop("odbc_connect", None)
    if raw is not None:
        text = unquote_plus(raw) if "%" in raw else raw
        found = {name.lower(): _unbraced(value) for name, value in _KEYWORD.findall(text)}
        return {_SAME.get(name, name): value for name, value in found.items()}
    keywords = {_SAME.get(name.lower(), name.lower()): value for name, value in query.items()}
    server = (url.host or "localhost") + (f",{url.port}" if url.port else "")
    keywords.setdefault("server", server)
    if url.database:
        keywords.setdefault("database", url.database)
    if url.username:
        keywords.setdefault("uid", url.username)
        keywords.setdefault("pwd", str(url.password or ""))
    return keywords


def _installed() -> list[str]:
    try:
        import pyodbc
    except ImportError as error:
        raise ConfigurationError(
            f"pyodbc cannot be loaded ({error}): it needs unixODBC. On Debian: apt-get install unixodbc."
        ) from None
    return list(pyodbc.drivers())


def _from_wheel() -> Path | None:
    """The driver's library in the wheel, for this distribution of Linux (or this system) and processor."""
    package = importlib.util.find_spec("mssql_python_odbc")
    if package is None or not package.submodule_search_locations:
        return None
    libraries = Path(package.submodule_search_locations[0]) / "libs"
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine().lower())
    patterns = ("libmsodbcsql-18.*.so*", "libmsodbcsql.18.dylib", "msodbcsql18.dll")
    found = sorted(path for pattern in patterns for path in libraries.rglob(pattern) if machine in path.parts)
    mine = [path for path in found if _distribution() in path.parts]
    return next(iter(mine or found), None)


def _distribution() -> str:
    """The wheel's name for what this Linux descends from."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "debian_ubuntu"
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    if family & {"alpine"}:
        return "alpine"
    if family & {"rhel", "fedora", "centos"}:
        return "rhel"
    return "suse" if family & {"suse", "sles", "opensuse"} else "debian_ubuntu"


def _unbraced(value: str) -> str:
    return value[1:-1].replace("}}", "}") if value.startswith("{") and value.endswith("}") else value


def _braced(value: str) -> str:
    plain = re.fullmatch(r"[^{}\[\]();,?*!@=\s]*", value)
    return value if plain else "{" + value.replace("}", "}}") + "}"
