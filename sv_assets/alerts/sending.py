"""How sending fails, and the one way over HTTP."""

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sv_assets.errors import SvError

if TYPE_CHECKING:
    import httpx

SECONDS, CONNECT_SECONDS = 10.0, 5.0
TRIES = 2
PAUSE_SECONDS = 1.0
SHORT_SECONDS = 3.0
"""A server that asks for a longer pause is tried again by a later look."""
ANSWER_BYTES = 2_000
ANSWER_SECONDS = 5.0
_SLUG = re.compile(r"^[a-z][a-z_]{1,40}$")


class NotSent(SvError):
    """A channel did not take a message. `passing`: it may at another time; `retry_after`: not before so many seconds."""

    def __init__(self, sentence: str, *, passing: bool, retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.passing = passing
        self.retry_after = retry_after


def post(url: str, body: bytes, headers: Mapping[str, str], ca_file: str | None = None) -> None:
    """POST, and once more after a passing fault. Raises NotSent; its sentence never holds the URL, which may be a secret."""
    for attempt in range(1, TRIES + 1):
        try:
            _post_once(url, body, headers, ca_file)
            return
        except NotSent as error:
            if attempt == TRIES or not error.passing or error.retry_after > SHORT_SECONDS:
                raise
            time.sleep(max(PAUSE_SECONDS, error.retry_after))


def _post_once(url: str, body: bytes, headers: Mapping[str, str], ca_file: str | None) -> None:
    import ssl

    import httpx

    timeout = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
    try:
        verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
        with (
            httpx.Client(timeout=timeout, verify=verify, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=dict(headers)) as answer,
        ):
            if answer.is_success:
                return
            told = _told(answer)
    except httpx.TimeoutException:
        raise NotSent("It did not answer in time.", passing=True) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
        raise NotSent("Its URL is not one; write it as https://…", passing=False) from None
    except httpx.HTTPError as error:
        raise NotSent(f"It could not be reached ({type(error).__name__}).", passing=True) from None
    except (OSError, ssl.SSLError) as error:
        raise NotSent(f"Its certificates could not be read ({type(error).__name__}).", passing=False) from None
    passing = answer.status_code in (408, 425, 429) or answer.status_code >= 500
    raise NotSent(
        f"It answered {answer.status_code}{told}.", passing=passing, retry_after=_seconds(answer.headers.get("retry-after"))
    )  # fmt: skip


def _told(answer: "httpx.Response") -> str:
    """The one word by which Slack and others say what they dislike; nothing else of an answer is passed on."""
    read = b""
    deadline = time.monotonic() + ANSWER_SECONDS
    for piece in answer.iter_bytes(ANSWER_BYTES):
        read += piece
        if len(read) >= ANSWER_BYTES or time.monotonic() > deadline:
            break
    word = read[:60].decode("ascii", "replace").strip()
    return f" ({word})" if _SLUG.match(word) else ""


def _seconds(header: str | None) -> float:
    try:
        return min(max(float(header or 0), 0.0), 3600.0)
    except ValueError:
        return 60.0  # a date: rare, and a minute is polite
