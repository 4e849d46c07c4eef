"""Messages as Slack shows them: Block Kit over an incoming webhook (https://docs.slack.dev/block-kit)."""

import json
from typing import Any

from sv_assets.alerts.message import Item, Message, facts, sentence
from sv_assets.alerts.sending import post

BLOCKS, CHARACTERS, HEADER_CHARACTERS = 50, 3000, 150
"""What Slack takes at most: blocks a message, characters of a section and of a header."""
_SIGNS = {"error": ":red_circle:", "warning": ":large_yellow_circle:"}
_MENDED = ":large_green_circle:"


def send(url: str, message: Message) -> None:
    """Raises NotSent."""
    body = json.dumps(payload(message), ensure_ascii=False).encode()
    post(url, body, {"Content-Type": "application/json; charset=utf-8"})


def payload(message: Message) -> dict[str, Any]:
    """The JSON of a message; `text` is what notifications show."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": message.headline[:HEADER_CHARACTERS]}}
    ]
    for heading, items in message.sections():
        if len(message.items) > 1:
            blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"*{heading}*"}]})
        blocks.extend(_block(item, message) for item in items)
    if message.rest:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": escaped(message.rest)}]})
    return {"text": escaped(message.headline), "blocks": blocks[:BLOCKS], "unfurl_links": False}


def _block(item: Item, message: Message) -> dict[str, Any]:
    condition = item.alert.condition
    sign = _MENDED if item.word in ("recovered", "passed") else _SIGNS[condition.severity]
    lines = [f"{sign} *{escaped(condition.title)}*", escaped(sentence(item))]
    for name, value in facts(item, message.sent_at):
        lines.append(f"*{name}:* `{escaped(value)}`" if name == "Next" else f"*{name}:* {escaped(value)}")
    block: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)[:CHARACTERS]}}
    if item.link:
        block["accessory"] = {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": item.link}
    return block


def escaped(text: str) -> str:
    """The three characters that Slack reads as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
