"""MongoDB goes away while customers are composed, and comes back: the run says so, and the next one completes the work."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sv_assets.customers import customers as station
from sv_assets.customers.customers import refresh_customers
from sv_assets.customers.history import composed_part, entries_of
from sv_assets.errors import TransientError
from sv_assets.local.servers import RunningServer, end_process, start_mongo
from sv_assets.mongo import explained_mongo_errors, open_store
from sv_assets_tests.retailer import OFFICER, Retailer, day
from sv_assets_tests.settled import start_settled_mongo

PEOPLE = 120


class Server:
    """A MongoDB stand-in of the test's own, on one port for life."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: RunningServer = start_settled_mongo(folder)
        self.url = self._running.url

    def kill(self) -> None:
        end_process(self._running.pid, self._running.created)

    def start(self) -> None:
        port = int(self.url.rpartition(":")[2].partition("/")[0])
        self._running = start_mongo(self._folder, sync_on_commit=True, port=port)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "mongo")
    yield server
    server.kill()


def test_a_server_that_fails_over_in_the_middle_loses_no_customer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station, "BATCH_CUSTOMERS", 10)
    shop = Retailer(open_store(server.url, "away_"))
    for number in range(PEOPLE):
        shop.customer(number, "Jane", f"Smith{number}", Email=f"jane{number}@x.com", ModifiedAt=day(1))
    shop.run()
    for number in range(PEOPLE):
        shop.customer(number, "Jane", f"Brown{number}", Email=f"jane{number}@x.com", ModifiedAt=day(2))
    shop.identify()
    customers = shop.store.single_view["customers"]

    def kill_when_some_are_written() -> None:
        while not customers.find_one({"version": 2}, {"_id": 1}):
            time.sleep(0.005)
        server.kill()

    killer = threading.Thread(target=kill_when_some_are_written)
    killer.start()
    with pytest.raises(TransientError, match="does not answer"), explained_mongo_errors():
        refresh_customers(shop.store, shop.catalogue)
    killer.join()
    server.start()
    written = customers.count_documents({"version": 2})
    assert 0 < written < PEOPLE
    refresh_customers(shop.store, shop.catalogue)
    assert shop.waiting() == {}
    documents = shop.customers()
    assert {d["name"]["value"]["last"] for d in documents.values()} == {f"Brown{n}" for n in range(PEOPLE)}
    assert {d["version"] for d in documents.values()} == {2}
    assert all([e["version"] for e in entries_of(shop.store, i, actor=OFFICER)] == [2] for i in documents)
    again = {i: composed_part(d) for i, d in documents.items()}
    assert refresh_customers(shop.store, shop.catalogue, full=True).written == 0
    assert {i: composed_part(d) for i, d in shop.customers().items()} == again
    shop.store.close()
