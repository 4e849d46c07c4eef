"""A proxy between our boto3 clients and the queue server that misbehaves on purpose, and keeps count of what came of it.

    with QueueProxy(sqs_server.url, seed=7) as proxy:
        monkeypatch.setenv("SQS_ENDPOINT_URL", proxy.url)
        proxy.inject("DeleteMessageBatch", "partial_failure", probability=0.3)
        proxy.inject("ReceiveMessage", "unavailable_503", times=3)
        proxy.inject("*", "cut", probability=0.02, moment="either")
        ...
        proxy.calm()
        assert proxy.injected["cut"] and not sent - proxy.ledger.deleted

A boto3 client sends everything to its `endpoint_url`, whatever host a queue URL names (and ministack names the host that
it was asked by, which the proxy passes on). What is no SQS request in the JSON protocol (S3, STS …) goes through untouched
and is counted under "other".

Kinds, and what a boto3 client without retries sees of them. The first seven take the place of an answer, at most one a
request; at the `moment` "before" the server never hears of the request, "after" it has done it and the client never learns:

    error_500        ClientError with code InternalFailure, status 500
    unavailable_503  ClientError with code 503: an HTML page, as a front end in trouble sends it
    throttled        ClientError with code RequestThrottled, status 400 (SQS's own limits)
    rate_exceeded    ClientError with code ThrottlingException, status 400 (the limits of AWS's front ends)
    timed_out        silence for `seconds`, then the end of the connection: ReadTimeoutError, or ConnectionClosedError
    cut              the end of the connection without an answer: ConnectionClosedError
    cut_in_half      half of the true answer, so always "after": ConnectionClosedError

The others change what is asked or answered, and may come together. Each takes a `share` of the entries or messages, at
least one:

    partial_failure   entries of a batch are kept from the server, and come back in `Failed` as InternalError, which is
                      not the sender's fault
    expired_handles   receipt handles become garbage, so that the server refuses them (ReceiptHandleIsInvalid)
    stale_receive     a ReceiveMessage is answered as from an empty queue; its messages are in flight, and nobody has them
    garbled_body      bodies hold bytes that are not UTF-8: boto3 cannot read that whole answer, UnicodeDecodeError. A
                      message is garbled once, or with `always=True` in every later delivery too
    doubled_delivery  messages are in a later answer once more, to whoever asks, under a handle of their own which works,
                      also when they have been deleted by then. Real FIFO queues do not do this

Deleting what is deleted already succeeds, as it does on SQS: ministack alone would refuse the handle. (Two deletions at
the same moment may still be refused.)
"""

import json
import random
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from socket import MSG_DONTWAIT, MSG_PEEK, SHUT_RDWR, socket
from socketserver import ThreadingTCPServer
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeVar, get_args
from urllib.parse import urlsplit

T = TypeVar("T")
Moment = Literal["before", "after", "either"]
Replacing = Literal["error_500", "unavailable_503", "throttled", "rate_exceeded", "timed_out", "cut", "cut_in_half"]
Changing = Literal["partial_failure", "expired_handles", "stale_receive", "garbled_body", "doubled_delivery"]
Event = Literal["delivered", "garbled", "lost", "deleted", "deleted_untold", "released", "extended"]

BATCHES = frozenset({"DeleteMessageBatch", "ChangeMessageVisibilityBatch"})
HANDLED = BATCHES | {"DeleteMessage", "ChangeMessageVisibility"}
RECEIVE = frozenset({"ReceiveMessage"})
_OPERATIONS_OF: dict[str, frozenset[str]] = {
    "partial_failure": BATCHES,
    "expired_handles": HANDLED,
    "stale_receive": RECEIVE,
    "garbled_body": RECEIVE,
    "doubled_delivery": RECEIVE,
}
_GARBLE = "garble-here-8c1f"
_NOT_UTF8 = b"\xc3\x28\xff"
_IDLE_SECONDS = 5.0  # servers close idle connections, later than this: a request sent just then would look like a fault
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "content-length", "expect"}  # fmt: skip


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


Forward = Callable[[bytes], Answer]


@dataclass
class Fault:
    """A kind of fault, for whom and how often."""

    operation: str
    kind: Replacing | Changing
    probability: float
    times_left: int | None
    moment: Moment
    seconds: float
    share: float
    always: bool

    def concerns(self, operation: str, kinds: Sequence[str]) -> bool:
        return self.operation in ("*", operation) and self.kind in kinds and self.times_left != 0


@dataclass
class Ledger:
    """What happened to each message, in the order in which the server's answers came through the proxy.

    Two answers at the same moment, to different connections, may stand here in another order than the server did them.

    delivered       it was in an answer that was passed on to a client that was there (and may have been killed right then)
    garbled         … with its body made invalid: comes besides delivered
    lost            it was in an answer that was not passed on: in flight, and nobody has it
    deleted         the server has deleted it, and the client was told
    deleted_untold  the server has deleted it, and the answer was not passed on
    released        its visibility was set to 0 by the server, whether or not the client was told
    extended        its visibility was set to more

    `group_of` knows the MessageGroupId of a message if the client asked for it when receiving (attributes "All").
    Messages received past the proxy are not in the ledger.
    """

    sequence: list[tuple[Event, str]] = field(default_factory=list)
    group_of: dict[str, str] = field(default_factory=dict)

    def count(self, event: Event) -> Counter[str]:
        """How often this happened, by message id."""
        return Counter(message for happened, message in list(self.sequence) if happened == event)

    @property
    def delivered(self) -> Counter[str]:
        return self.count("delivered")

    @property
    def lost(self) -> Counter[str]:
        return self.count("lost")

    @property
    def released(self) -> Counter[str]:
        return self.count("released")

    @property
    def deleted(self) -> set[str]:
        """What the server has deleted and a client knows of."""
        return set(self.count("deleted"))

    @property
    def deleted_untold(self) -> set[str]:
        """What the server has deleted though no client knows (yet: trying again tells)."""
        return set(self.count("deleted_untold")) - self.deleted

    @property
    def gone(self) -> list[str]:
        """What the server has deleted, in that order."""
        return list(dict.fromkeys(message for event, message in list(self.sequence) if event.startswith("deleted")))

    def group(self, group: str) -> list[tuple[Event, str]]:
        """The sequence of one message group."""
        return [(event, message) for event, message in list(self.sequence) if self.group_of.get(message) == group]


class QueueProxy:
    """Listens on a free port of 127.0.0.1 for requests to `target`, until `close`, which ends all connections.

    Faults are drawn from `seed`: with one client a test repeats itself, with several it depends on their order too.
    `requests` counts requests by operation, `injected` counts faults by kind. All may be used from any thread.
    """

    def __init__(self, target: str, seed: int = 0) -> None:
        self.target = urlsplit(target).netloc
        self.requests: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.ledger = Ledger()
        self.closed = threading.Event()
        self.before_deleting: Callable[[list[str]], None] = lambda _messages: None
        """Told the ids of the messages that the server is to delete next. Must not raise."""
        self._random = random.Random(seed)
        self._lock = threading.RLock()
        self._faults: list[Fault] = []
        self._message_of: dict[str, str] = {}  # by handle
        self._handle_of: dict[str, str] = {}  # the server's handle, by the one we made up
        self._gone: set[str] = set()
        self._garbled: dict[str, bool] = {}  # by message id: whether it is again
        self._again: dict[str, list[dict[str, Any]]] = {}  # messages to deliver once more, by queue
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="queue-proxy", daemon=True).start()

    def __enter__(self) -> "QueueProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()

    def inject(
        self,
        operation: str,
        kind: Replacing | Changing,
        *,
        probability: float = 1.0,
        times: int | None = None,
        moment: Moment = "before",
        seconds: float = 5.0,
        share: float = 0.5,
        always: bool = False,
    ) -> None:
        """From now on, requests of `operation` ("*": of all) suffer this: with `probability`, or the next `times` of them.

        A receive that gets no message uses none of the `times` of the kinds that change messages. Faults are tried in the
        order in which they were injected. Raises ValueError for a kind that this operation cannot suffer.
        """
        if kind not in get_args(Replacing) + get_args(Changing):
            raise ValueError(f"There is no fault {kind}.")
        if operation != "*" and operation not in _OPERATIONS_OF.get(kind, {operation}):
            raise ValueError(f"{operation} cannot suffer {kind}: only {', '.join(sorted(_OPERATIONS_OF[kind]))} can.")
        moment = "after" if kind == "cut_in_half" else moment
        with self._lock:
            self._faults.append(Fault(operation, kind, probability, times, moment, seconds, share, always))

    def calm(self) -> None:
        """No faults from now on, and no deliveries that are still to come twice."""
        with self._lock:
            self._faults.clear()
            self._again.clear()
            self._garbled.clear()

    @property
    def handles(self) -> dict[str, str]:
        """The last handle of each message, by message id."""
        with self._lock:
            return {message: self._handle_of.get(handle, handle) for handle, message in self._message_of.items()}

    def begin(self, operation: str) -> tuple[Fault | None, bool]:
        """Counts a request. The fault in place of its answer, if any, and whether the server gets the request."""
        with self._lock:
            self.requests[operation] += 1
            fault = self._draw(operation, get_args(Replacing)) if operation != "other" else None
            moment = fault.moment if fault else "after"
            return fault, moment == "after" or (moment == "either" and self._random.random() < 0.5)

    def exchange(self, operation: str, body: bytes, forward: Forward, told: Callable[[], bool]) -> Answer:
        """The answer to a request that reaches the server. `told` says, once there is one, whether the client gets it."""
        if operation in RECEIVE:
            return self._receive(json.loads(body), forward, told)
        if operation in HANDLED:
            return self._use_handles(operation, json.loads(body), forward, told)
        return forward(body)

    def _receive(self, asked: dict[str, Any], forward: Forward, told: Callable[[], bool]) -> Answer:
        queue = urlsplit(asked["QueueUrl"]).path
        at_most = int(asked.get("MaxNumberOfMessages", 1))
        with self._lock:
            waiting = self._again.get(queue, [])
            again, waiting[:at_most] = waiting[:at_most], []
        answer = _json_answer({})
        if len(again) < at_most:
            if again:
                asked |= {"MaxNumberOfMessages": at_most - len(again), "WaitTimeSeconds": 0}
            answer = forward(json.dumps(asked).encode())
        if answer.status != 200:
            return answer
        fresh: list[dict[str, Any]] = json.loads(answer.body).get("Messages", [])
        messages = again + fresh
        if not messages:
            return answer
        with self._lock:
            for message in fresh:
                self._message_of[message["ReceiptHandle"]] = message["MessageId"]
                self._gone.discard(message["MessageId"])  # a server that was killed may have forgotten
                if "MessageGroupId" in message.get("Attributes", {}):
                    self.ledger.group_of[message["MessageId"]] = message["Attributes"]["MessageGroupId"]
            if not told() or self._draw("ReceiveMessage", ["stale_receive"]):
                self._record("lost", messages)
                return _json_answer({})
            self._record("delivered", messages)
            self._double(queue, fresh)
            garbled = self._garble(messages)
            self._record("garbled", garbled)
        return _json_answer({"Messages": messages}) if again or garbled else answer

    def _double(self, queue: str, fresh: list[dict[str, Any]]) -> None:
        fault = self._draw("ReceiveMessage", ["doubled_delivery"]) if fresh else None
        for message in self._some(fresh, fault.share) if fault else []:
            handle = str(uuid.uuid4())
            self._handle_of[handle] = message["ReceiptHandle"]
            self._message_of[handle] = message["MessageId"]
            copy = json.loads(json.dumps(message)) | {"ReceiptHandle": handle}
            attributes = copy.get("Attributes", {})
            if "ApproximateReceiveCount" in attributes:
                attributes["ApproximateReceiveCount"] = str(int(attributes["ApproximateReceiveCount"]) + 1)
            self._again.setdefault(queue, []).append(copy)

    def _garble(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        chosen = [message for message in messages if self._garbled.get(message["MessageId"])]
        candidates = [message for message in messages if message["MessageId"] not in self._garbled]
        fault = self._draw("ReceiveMessage", ["garbled_body"]) if candidates else None
        if fault:
            new = self._some(candidates, fault.share)
            self._garbled |= {message["MessageId"]: fault.always for message in new}
            chosen += new
        for message in chosen:
            half = len(message["Body"]) // 2
            message["Body"] = message["Body"][:half] + _GARBLE + message["Body"][half:]
        return chosen

    def _use_handles(self, operation: str, asked: dict[str, Any], forward: Forward, told: Callable[[], bool]) -> Answer:
        """Deletes or changes the visibility of what the handles stand for: in a batch, or a single one."""
        is_batch, deletes = operation in BATCHES, operation.startswith("Delete")
        entries: list[dict[str, Any]] = asked["Entries"] if is_batch else [asked]
        with self._lock:
            partial = self._draw(operation, ["partial_failure"]) if is_batch else None
            failed = self._some(entries, partial.share) if partial else []
            rest = [entry for entry in entries if entry not in failed]
            expiring = self._draw(operation, ["expired_handles"]) if rest else None
            expired = self._some(rest, expiring.share) if expiring else []
            valid = [entry for entry in rest if entry not in expired]
            messages = {_name(entry): self._message_of.get(entry["ReceiptHandle"]) for entry in valid}
            again = [entry for entry in rest if deletes and messages.get(_name(entry)) in self._gone]
            asking = [entry for entry in rest if entry not in again]
            for entry in asking:
                entry["ReceiptHandle"] = self._handle_of.get(entry["ReceiptHandle"], entry["ReceiptHandle"])
            for entry in expired:
                entry["ReceiptHandle"] = f"expired-{uuid.uuid4()}"

        answer = _json_answer({"Successful": [], "Failed": []} if is_batch else {})
        if asking:
            if deletes:
                self.before_deleting([message for entry in asking if (message := messages.get(_name(entry)))])
            answer = forward(json.dumps(asked | {"Entries": asking} if is_batch else asked).encode())
        if answer.status != 200:
            return answer
        content = json.loads(answer.body or b"{}")
        if is_batch:
            content["Successful"] = content.get("Successful", []) + [{"Id": entry["Id"]} for entry in again]
            content["Failed"] = content.get("Failed", []) + [_internal_error(entry["Id"]) for entry in failed]
        is_told = told()
        succeeded = {done["Id"] for done in content["Successful"]} if is_batch else {""}
        with self._lock:
            for entry in rest:
                message = messages.get(_name(entry))
                if message and _name(entry) in succeeded:
                    self.ledger.sequence.append((_event(deletes, entry, is_told), message))
                    if deletes:
                        self._gone.add(message)
        return _json_answer(content) if again or failed else answer

    def _record(self, event: Event, messages: list[dict[str, Any]]) -> None:
        self.ledger.sequence += [(event, message["MessageId"]) for message in messages]

    def _draw(self, operation: str, kinds: Sequence[str]) -> Fault | None:
        """The first fault of these kinds that happens to this request. It has happened then: the caller sees to it."""
        for fault in self._faults:
            if fault.concerns(operation, kinds) and self._random.random() < fault.probability:
                if fault.times_left is not None:
                    fault.times_left -= 1
                self.injected[fault.kind] += 1
                return fault
        return None

    def _some(self, choices: list[T], share: float) -> list[T]:
        """This share of them, at least one."""
        return [choice for choice in choices if self._random.random() < share] or [self._random.choice(choices)]


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, proxy: QueueProxy) -> None:
        self.proxy = proxy
        self.open: set[socket] = set()
        super().__init__(("127.0.0.1", 0), _Connection)

    def end_connections(self) -> None:
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are what the tests are about: only what is no such thing is printed."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Connection(BaseHTTPRequestHandler):
    """One connection of a client, with one to the server that lasts as long."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)
        self._upstream = HTTPConnection(self.server.proxy.target, timeout=60)
        self._used = monotonic()

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        self._upstream.close()
        super().finish()

    def handle_expect_100(self) -> bool:
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle_request(self) -> None:
        proxy = self.server.proxy
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True
            return self._answer(Answer(411, [("Connection", "close")], b""))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "")
        operation = target.removeprefix("AmazonSQS.") if target.startswith("AmazonSQS.") else "other"
        fault, reaches_server = proxy.begin(operation)
        answer = Answer(200, [], b"")
        if reaches_server:
            try:
                answer = proxy.exchange(
                    operation, body, self._forward, lambda: fault is None and self._is_client_there()
                )
            except (OSError, HTTPException):  # the server is away, so the client is to see just that
                return self._cut()
        if fault is None:
            self._answer(answer)
        elif fault.kind in _FAULT_ANSWERS:
            self._answer(_FAULT_ANSWERS[fault.kind])
        elif fault.kind == "cut_in_half":
            self._answer(answer, only_half=True)
            self._cut()
        else:
            proxy.closed.wait(fault.seconds if fault.kind == "timed_out" else 0)
            self._cut()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _handle_request

    def _forward(self, body: bytes) -> Answer:
        """The server's answer to this request with this body. `Host` stays the client's, as the signature covers it."""
        if monotonic() - self._used > _IDLE_SECONDS:
            self._upstream.close()
        self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self._upstream.putheader(name, value)
        if body or self.command in ("POST", "PUT", "PATCH"):
            self._upstream.putheader("Content-Length", str(len(body)))
        self._upstream.endheaders(body)
        response = self._upstream.getresponse()
        answer = Answer(response.status, response.getheaders(), response.read())
        self._used = monotonic()
        return answer

    def _answer(self, answer: Answer, only_half: bool = False) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in _HOP_BY_HOP or (self.command == "HEAD" and name.lower() == "content-length"):
                self.send_header(name, value)
        if self.command != "HEAD" and answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if only_half else answer.body)
        self.wfile.flush()

    def _is_client_there(self) -> bool:
        """Whether the client, which waits for an answer and so sends nothing, has not closed (as when it is killed)."""
        try:
            return bool(self.connection.recv(1, MSG_PEEK | MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _cut(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(SHUT_RDWR)


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("Id", ""))


def _event(deletes: bool, entry: dict[str, Any], is_told: bool) -> Event:
    if deletes:
        return "deleted" if is_told else "deleted_untold"
    return "extended" if entry["VisibilityTimeout"] else "released"


def _internal_error(entry: str) -> dict[str, Any]:
    message = "We encountered an internal error. Please try again."
    return {"Id": entry, "Code": "InternalError", "Message": message, "SenderFault": False}


def _json_answer(content: dict[str, Any], status: int = 200, **headers: str) -> Answer:
    """An answer of the JSON protocol, its garbled places made invalid UTF-8."""
    body = json.dumps(content).encode().replace(_GARBLE.encode(), _NOT_UTF8)
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Answer(status, [("Content-Type", "application/x-amz-json-1.0"), *named], body)


# The form of errors: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
# botocore takes the code from x-amzn-query-error where there is one, else from what follows "#" in __type.
_FAULT_ANSWERS: dict[str, Answer] = {
    "error_500": _json_answer(
        {"__type": "com.amazon.coral.service#InternalFailure", "message": "An internal failure."},
        500,
        x_amzn_query_error="InternalFailure;Receiver",
    ),
    "unavailable_503": Answer(
        503,
        [("Content-Type", "text/html")],
        b"<html><body><b>Http/1.1 Service Unavailable</b></body></html>",
    ),
    "throttled": _json_answer(
        {"__type": "com.amazonaws.sqs#RequestThrottled", "message": "Request is throttled."},
        400,
        x_amzn_query_error="RequestThrottled;Sender",
    ),
    "rate_exceeded": _json_answer(
        {"__type": "com.amazon.coral.availability#ThrottlingException", "message": "Rate exceeded"}, 400
    ),
}
