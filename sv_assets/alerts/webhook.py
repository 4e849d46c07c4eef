"""Messages as JSON for any other program. The format is described in docs/alerts.md."""

import hashlib
import hmac
import json
import time
from typing import Any

from sv_assets.alerts.message import Item, Message
from sv_assets.alerts.sending import post

SCHEMA = 1


def send(url: str, message: Message, secret: str | None, ca_file: str | None = None) -> None:
    """Raises NotSent. With a `secret` the body is signed together with the time of sending."""
    body = json.dumps(payload(message), ensure_ascii=False).encode()
    stamp = str(int(time.time()))
    headers = {"Content-Type": "application/json", "X-SV-Message": message.id, "X-SV-Timestamp": stamp}
    if secret is not None:
        headers["X-SV-Signature"] = signature(secret, stamp, body)
    post(url, body, headers, ca_file)


def signature(secret: str, stamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC of `<timestamp>.<body>` under the secret, in hexadecimal."""
    return "sha256=" + hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def payload(message: Message) -> dict[str, Any]:
    """The JSON of a message: every alert, however many."""
    return {
        "schema": SCHEMA,
        "id": message.id,
        "route": message.route,
        "headline": message.headline,
        "sent_at": message.sent_at.isoformat(),
        "alerts": [_item(item) for item in message.items],
    }


def _item(item: Item) -> dict[str, Any]:
    alert, condition = item.alert, item.alert.condition
    return {
        "telling": item.id,
        "event": item.word,
        "alert": condition.id,
        "kind": condition.kind,
        "severity": condition.severity,
        "title": condition.title,
        "sentence": condition.sentence,
        "figures": dict(condition.figures),
        "owners": list(condition.owners),
        "since": alert.since.isoformat(),
        "recovered_at": alert.recovered_at.isoformat() if alert.recovered_at else None,
        "link": item.link or None,
        "command": condition.mend or None,
    }
