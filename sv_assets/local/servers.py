"""The embedded servers: SecantusDB in MongoDB's place, ministack in SQS's, each a detached process on loopback.

What survives (measured, see sv_assets_tests/local/test_estate.py): SecantusDB keeps its data when stopped and when
killed (every acknowledged write only with `sync_on_commit`). ministack writes its queues to disk when it is *stopped*;
when it is *killed* they fall back to what they held at its last start.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import psutil
import pymongo
from pymongo.errors import PyMongoError

from sv_assets.errors import SvError

HOST = "127.0.0.1"
REGION = "eu-west-2"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_ATTEMPTS = 5
_WIREDTIGER = "eviction_dirty_target=20,eviction_dirty_trigger=40,checkpoint=(wait=60)"
"""What SecantusDB does not ask of WiredTiger (measured while a million customers landed and were identified).

WiredTiger writes pages out once a twentieth of its cache is dirty. An index in no order of time then costs a page of writing
for every key: party records came in at 170 to 500 a second. With half of it dirty they came in at 900 to 1,020, but the server
grew to twice the size of its cache, since what is dirty lies in many small pieces. This, with checkpoints, gave 500 to 720.

Without checkpoints the log is never cut: after a kill all of it is gone through again, 10.7 GB in 16 minutes.
"""
_MONGO_OPTIONS = "directConnection=true&retryWrites=false"
"""SecantusDB keeps the last retryable writes and sorts all of them at each further one: an insert of one document took 2.4 to 3.2 ms
where it takes 0.5 without, measured in one run. To try a write again serves failover, and this is one server."""
_STARTED: list[subprocess.Popen[bytes]] = []  # children of this process, kept so that they are reaped when they end


@dataclass(frozen=True)
class RunningServer:
    """A server process, known by its pid and the time at which it was created (a pid alone may be another's by now)."""

    name: str
    url: str
    port: int
    pid: int
    created: float
    log: Path = field(repr=False)

    @property
    def is_alive(self) -> bool:
        return process_of(self.pid, self.created) is not None

    def stop(self) -> bool:
        """Ends it in good order, by force after 30 s; false if it was gone already."""
        return end_process(self.pid, self.created)

    def kill(self) -> bool:
        """Ends it at once, as a power cut would; false if it was gone already."""
        return end_process(self.pid, self.created, force=True)


def _cache_size() -> str:
    """A sixth of the memory of this machine, from 1 to 4 GiB: a laptop has other work to do."""
    return f"{min(max(psutil.virtual_memory().total // 6 // 1024**3, 1), 4)}G"


def start_mongo(
    storage_dir: Path, *, sync_on_commit: bool = False, port: int = 0, log: Path | None = None
) -> RunningServer:
    """SecantusDB over the data in `storage_dir` (made if missing), on `port` or, if 0 or taken, on any free one.

    Raises SvError with the end of the server's log when it does not answer within a minute.
    """
    storage_dir = storage_dir.absolute()
    storage_dir.mkdir(parents=True, exist_ok=True)
    config = storage_dir.with_name(f"{storage_dir.name}.toml")
    config.touch()
    command = [program("secantusd-rs"), "--host", HOST, "--storage-path", str(storage_dir)]
    command += ["--log-file-max", "128MB", "--config", str(config), "--cache-size", _cache_size()]
    command += ["--sync-on-commit"] if sync_on_commit else []

    def url_of(port: int) -> str:
        return f"mongodb://{HOST}:{port}/?{_MONGO_OPTIONS}"

    def answers(port: int) -> bool:
        try:
            with pymongo.MongoClient[dict[str, object]](url_of(port), serverSelectionTimeoutMS=1_000) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    log = log or storage_dir.with_name(f"{storage_dir.name}.log")
    for wanted in (port, 0):
        try:
            environment = {"WIREDTIGER_CONFIG": os.environ.get("WIREDTIGER_CONFIG", _WIREDTIGER)}
            return _start("mongo", [*command, "--port", str(wanted)], environment, log, _printed_port, answers, url_of)
        except _PortTaken:
            continue
    raise SvError(f"MongoDB's stand-in found no free port on {HOST}; see {log}.")


def start_sqs(
    storage_dir: Path, *, port: int = 0, log: Path | None = None, services: Sequence[str] = ("sqs",)
) -> RunningServer:
    """ministack's SQS over the state in `storage_dir` (made if missing), on `port` or, if 0 or taken, on any free one.

    `services` are all that it is to serve (`s3`, `sns`, `sts` …).

    Raises SvError with the end of the server's log when it does not answer within a minute.
    """
    storage_dir = storage_dir.absolute()
    storage_dir.mkdir(parents=True, exist_ok=True)
    log = log or storage_dir.with_name(f"{storage_dir.name}.log")
    opener = build_opener(ProxyHandler({}))

    def url_of(port: int) -> str:
        return f"http://{HOST}:{port}"

    def answers(port: int) -> bool:
        try:
            with opener.open(f"{url_of(port)}/_ministack/health", timeout=2) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False

    def start(port: int) -> RunningServer:
        environment = {
            "GATEWAY_PORT": str(port),
            "BIND_HOST": HOST,
            "SERVICES": ",".join(services),
            "MINISTACK_REGION": REGION,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(storage_dir),
            "TMPDIR": str(storage_dir),
            "LOG_LEVEL": "WARNING",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        return _start("sqs", [program("ministack")], environment, log, lambda _: port, answers, url_of)

    for attempt in range(_ATTEMPTS):
        try:
            return start(port if port and attempt == 0 else free_port())
        except _PortTaken:
            continue
    raise SvError(f"SQS's stand-in found no free port on {HOST} in {_ATTEMPTS} attempts; see {log}.")


def program(name: str) -> str:
    """The path of a program installed beside this Python. Raises SvError when it is not."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise SvError(
            f"{name} is not installed beside {sys.executable}; install the extra: pip install 'sv-assets[local]'."
        )
    return str(path)


def free_port() -> int:
    """A port that was free a moment ago: who starts on it must be ready to find it taken."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def process_of(pid: int, created: float) -> psutil.Process | None:
    """The process if it still is the one that was created then, and has not ended."""
    for child in _STARTED[:]:
        if child.poll() is not None:
            _STARTED.remove(child)
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > 2.0 or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process
    except psutil.Error:
        return None


def end_process(pid: int, created: float, *, force: bool = False) -> bool:
    """Ends the process that was created then, and waits for it; false if it was gone already."""
    process = process_of(pid, created)
    if process is None:
        return False
    try:
        process.kill() if force else process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(_STOP_SECONDS)
    except psutil.NoSuchProcess:
        pass
    process_of(pid, created)
    return True


class _PortTaken(Exception):
    """Another process was quicker."""


def _start(
    name: str,
    command: list[str],
    environment: Mapping[str, str],
    log: Path,
    port_of: Callable[[str], int | None],
    answers: Callable[[int], bool],
    url_of: Callable[[int], str],
) -> RunningServer:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C in the terminal is not for the server
        )
    _STARTED.append(process)
    created = psutil.Process(process.pid).create_time()
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        said = _read_from(log, begin)
        if ended:
            if re.search(r"in use|errno 98|errno 48", said, re.IGNORECASE):
                raise _PortTaken
            raise SvError(
                f"{command[0]} ended with code {process.returncode} while starting. Its log {log} ends:\n{_tail(said)}"
            )
        port = port_of(said)
        if port is not None and _listens(process.pid, port) and answers(port):
            return RunningServer(name, url_of(port), port, process.pid, created, log)
        time.sleep(0.05)
    end_process(process.pid, created, force=True)
    said = _tail(_read_from(log, begin))
    raise SvError(f"{command[0]} did not answer within {_START_SECONDS:.0f} s. Its log {log} ends:\n{said}")


def _listens(pid: int, port: int) -> bool:
    """Whether it is this process that listens there, and not somebody who took the port first."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections)


def _printed_port(said: str) -> int | None:
    match = re.search(r"listening on [\d.]+:(\d+)", said)
    return int(match.group(1)) if match else None


def _read_from(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        return file.read().decode("utf-8", "replace")


def _tail(said: str, lines: int = 15) -> str:
    return "\n".join(said.splitlines()[-lines:]) or "(empty)"
