"""A database of a test's own on the live T-SQL server that SV_TEST_SQLSERVER_URL names, and a way to break connections."""

import os
import select
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import pytest
import sqlalchemy as sa

from sv_assets.sources.database import close_sessions
from sv_assets.sources.driver import odbc_keywords, odbc_string

URL = os.environ.get("SV_TEST_SQLSERVER_URL", "")
needs_sql_server = pytest.mark.skipif(not URL, reason="SV_TEST_SQLSERVER_URL is not set: no live T-SQL server")


@dataclass(frozen=True)
class LiveDatabase:
    """A database on the live server: `url` connects to it; statements run at once, or in a session of the test's own."""

    name: str
    keywords: dict[str, str]

    @property
    def url(self) -> str:
        return self.url_with()

    def url_with(self, **keywords: str) -> str:
        """The URL, with some keywords of the connection string changed."""
        return "mssql+pyodbc:///?odbc_connect=" + quote_plus(odbc_string({**self.keywords, **keywords}))

    def run(self, *statements: str) -> list[Any]:
        """Each statement in a transaction of its own; the rows of the last one."""
        rows: list[Any] = []
        with self.session() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = cursor.fetchall() if cursor.description else []
        return rows

    @contextmanager
    def session(self, autocommit: bool = True) -> Iterator[Any]:
        """A cursor of a raw connection. What is not committed is rolled back at the end."""
        import pyodbc

        connection = pyodbc.connect(odbc_string({**self.keywords, "app": "test"}), autocommit=autocommit)
        try:
            yield connection.cursor()
        finally:
            connection.close()

    def supports(self, *statements: str) -> bool:
        """Whether the server takes these statements."""
        import pyodbc

        try:
            self.run(*statements)
        except pyodbc.Error:
            return False
        return True


def server_url() -> str:
    """The URL of the live server, with the driver that we find where it names none."""
    keywords = odbc_keywords(sa.make_url(URL), read_only=False)
    return LiveDatabase("master", keywords).url


@contextmanager
def live_database() -> Iterator[LiveDatabase]:
    """A new database, dropped at the end."""
    keywords = odbc_keywords(sa.make_url(URL), read_only=False)
    server = LiveDatabase("master", keywords)
    name = f"sv_test_{uuid.uuid4().hex[:8]}"
    server.run(f"CREATE DATABASE {name}")
    try:
        yield LiveDatabase(name, {**keywords, "database": name})
    finally:
        close_sessions()
        server.run(f"DROP DATABASE {name}")


class BreakableProxy:
    """Passes bytes to a server until `cut` is called: then every connection through it is gone, and new ones come up.

    `on_bytes(n)` is told how many bytes the server has sent in all, and may call `cut`.
    """

    def __init__(self, host: str, port: int, on_bytes: Callable[["BreakableProxy", int], None]) -> None:
        self._target, self._on_bytes = (host, port), on_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.sent = self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.cuts += 1
        for side in self._open:
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [], 60)
                for side in ready:
                    data = side.recv(65536)
                    if not data:
                        raise OSError("ended")
                    (server if side is client else client).sendall(data)
                    if side is server:
                        self.sent += len(data)
                        self._on_bytes(self, self.sent)
        except (OSError, ValueError):
            client.close()
            server.close()
