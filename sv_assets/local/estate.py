"""The estate under `<repository>/.local`: which servers it has, where they are, and how to bring them up and down.

`estate.json` remembers the processes, `estate.env` the URLs (plain KEY=VALUE lines). After any kind of death `up` puts
right what is missing and leaves alone what is alive.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sv_assets.errors import SvError
from sv_assets.local.generator import fraud_truth, truth
from sv_assets.local.generator.state import FILE as SEED_STATE
from sv_assets.local.generator.state import load_state
from sv_assets.local.queues import ensure_queues, sqs_client
from sv_assets.local.servers import REGION, RunningServer, end_process, start_mongo, start_sqs

STATE = "estate.json"
URLS = "estate.env"
_SERVERS = ("mongo", "sqs")
_DATABASES = {
    "CRM_SQLSERVER_URL": "crm",
    "SALES_SQLSERVER_URL": "sales",
    "CONTACTCENTRE_SQLSERVER_URL": "contactcentre",
}


@dataclass(frozen=True)
class Estate:
    """What runs, and what a person should know about it. `seeded` is None when there is no complete seed."""

    local_dir: Path
    servers: tuple[RunningServer, ...]
    urls: dict[str, str]
    seeded: dict[str, Any] | None
    notes: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        return {server.name for server in self.servers if server.is_alive} == set(_SERVERS)


def default_local_dir() -> Path:
    """SV_LOCAL_DIR, else `.local` at the root of the repository that this file is in."""
    chosen = os.environ.get("SV_LOCAL_DIR")
    return Path(chosen).absolute() if chosen else Path(__file__).resolve().parents[2] / ".local"


def up(local_dir: Path | None = None, *, sync_on_commit: bool = False) -> Estate:
    """Starts what does not run, over its old data and if possible on its old port. Raises SvError if a server will not.

    `sync_on_commit` holds for a MongoDB stand-in that is started now; one that runs already is left as it is.
    """
    local_dir = (local_dir or default_local_dir()).absolute()
    local_dir.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(local_dir):
        known = _load(local_dir)
        notes: list[str] = []
        running: dict[str, RunningServer] = {}
        for name in _SERVERS:
            before = known.get(name)
            if before is not None and before.is_alive:
                running[name] = before
                continue
            port = before.port if before else 0
            log = local_dir / "logs" / f"{name}.log"
            if name == "mongo":
                server = start_mongo(local_dir / "mongo", sync_on_commit=sync_on_commit, port=port, log=log)
            else:
                server = start_sqs(local_dir / "sqs", port=port, log=log)
            running[name] = server
            _save(local_dir, {**known, **running})
            if before is not None and before.pid:
                notes.append(f"{name} had died and was started again.")
                if name == "sqs":
                    notes.append(
                        "SQS's stand-in keeps messages only over an orderly stop: "
                        "its queues hold what they held when it last started."
                    )
        urls = _urls(local_dir, running)
        _write_urls(local_dir, urls)
        try:
            ensure_queues(sqs_client(urls))
        except (BotoCoreError, ClientError) as error:
            raise SvError(
                f"SQS's stand-in runs, but its queues cannot be made ({type(error).__name__}); "
                f"see {running['sqs'].log}."
            ) from error
        return Estate(local_dir, tuple(running.values()), urls, _seeded(local_dir, notes), tuple(notes))


def down(local_dir: Path | None = None) -> list[str]:
    """Stops the servers in good order; returns the names of those that ran. Data, ports and URLs are kept."""
    local_dir = (local_dir or default_local_dir()).absolute()
    if not local_dir.exists():
        return []
    with _one_at_a_time(local_dir):
        known = _load(local_dir)
        stopped = [name for name, server in known.items() if end_process(server.pid, server.created)]
        if known:
            gone = {
                name: RunningServer(name, server.url, server.port, 0, 0.0, server.log) for name, server in known.items()
            }
            _save(local_dir, gone)
        return stopped


def status(local_dir: Path | None = None) -> Estate:
    """What is there now; starts and changes nothing. Servers that do not run are left out."""
    local_dir = (local_dir or default_local_dir()).absolute()
    known = _load(local_dir)
    notes = [
        f"{server.name} has died; `sv estate up` starts it again."
        for server in known.values()
        if server.pid and not server.is_alive
    ]
    alive = {name: server for name, server in known.items() if server.is_alive}
    return Estate(local_dir, tuple(alive.values()), read_urls(local_dir), _seeded(local_dir, notes), tuple(notes))


def read_urls(local_dir: Path) -> dict[str, str]:
    """The entries of estate.env; empty when the estate was never up."""
    try:
        lines = (local_dir / URLS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _urls(local_dir: Path, running: dict[str, RunningServer]) -> dict[str, str]:
    return {
        "SV_MONGO_URL": running["mongo"].url,
        "SQS_ENDPOINT_URL": running["sqs"].url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        **{key: f"sqlite:///{local_dir / f'{name}.sqlite'}" for key, name in _DATABASES.items()},
        "SV_IDENTITY_TRUTH": str(local_dir / truth.FILE),
        "SV_ESTATE_CLOCK": str(local_dir / SEED_STATE),
        "SV_FRAUD_TRUTH": str(local_dir / fraud_truth.FILE),
    }


def _seeded(local_dir: Path, notes: list[str]) -> dict[str, Any] | None:
    state = load_state(local_dir)
    if state is None:
        return None
    if not state.complete:
        notes.append("A seed or tick was interrupted; run `sv estate seed` again.")
        return None
    return {
        "people": state.people,
        "seed": state.seed,
        "until": state.until,
        "ticks": state.ticks,
        "clock": state.clock,
    }


def _load(local_dir: Path) -> dict[str, RunningServer]:
    try:
        entries = json.loads((local_dir / STATE).read_text(encoding="utf-8"))["servers"]
        return {entry["name"]: RunningServer(**{**entry, "log": Path(entry["log"])}) for entry in entries}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise SvError(
            f"{local_dir / STATE} cannot be read; end the servers it named, delete it, and run `sv estate up`."
        ) from error


def _save(local_dir: Path, servers: dict[str, RunningServer]) -> None:
    entries = [{**asdict(server), "log": str(server.log)} for server in servers.values()]
    _replace(local_dir / STATE, json.dumps({"servers": entries}, indent=2) + "\n")


def _write_urls(local_dir: Path, urls: dict[str, str]) -> None:
    _replace(local_dir / URLS, "".join(f"{key}={value}\n" for key, value in urls.items()))


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


@contextmanager
def _one_at_a_time(local_dir: Path) -> Iterator[None]:
    with (local_dir / "estate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
