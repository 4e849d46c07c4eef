"""Messages by e-mail: plain text and HTML in one, over SMTP."""

import datetime as dt
import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape

from sv_assets.alerts.message import Item, Message, facts, sentence
from sv_assets.alerts.sending import NotSent
from sv_assets.alerts.settings import EmailChannel

log = logging.getLogger(__name__)
SECONDS = 10.0
_COLOURS = {"error": "#b3261e", "warning": "#9a6700"}
_MENDED = "#1a7f37"


def send(channel: EmailChannel, message: Message, port: int, user: str | None, password: str | None) -> None:
    """Raises NotSent. `user` and `password` are resolved by the caller."""
    letter = compose(channel, message)
    try:
        with _connected(channel, port) as server:
            if user is not None and password is not None:
                server.login(user, password)
            refused = server.send_message(letter)
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent(f"It refuses our log-in ({error.smtp_code}).", passing=False) from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = {code for code, _ in error.recipients.values()}
        passing = all(400 <= code < 500 for code in codes)
        raise NotSent(f"It refuses every recipient ({', '.join(map(str, sorted(codes)))}).", passing=passing) from None
    except smtplib.SMTPResponseException as error:
        passing = 400 <= error.smtp_code < 500 or error.smtp_code < 0
        raise NotSent(f"It answered {error.smtp_code}.", passing=passing) from None
    except smtplib.SMTPNotSupportedError:
        raise NotSent("It does not offer what `security` or the log-in asks for.", passing=False) from None
    except ssl.SSLError as error:
        raise NotSent(f"No secure connection ({error.reason or type(error).__name__}).", passing=False) from None
    except TimeoutError:
        raise NotSent("It did not answer in time.", passing=True) from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"It could not be reached ({type(error).__name__}).", passing=True) from None
    if refused:
        log.warning("%d of %d recipients of an alert were refused", len(refused), len(channel.to))


def _connected(channel: EmailChannel, port: int) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=channel.ca_file)
    if channel.security == "tls":
        return smtplib.SMTP_SSL(channel.host, port, timeout=SECONDS, context=context)
    server = smtplib.SMTP(channel.host, port, timeout=SECONDS)
    if channel.security == "starttls":
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
    return server


def knock(channel: EmailChannel, port: int) -> None:
    """Greet the server and say goodbye: for `sv doctor`. Raises NotSent."""
    try:
        with _connected(channel, port) as server:
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"It could not be reached ({type(error).__name__}).", passing=True) from None


def compose(channel: EmailChannel, message: Message) -> EmailMessage:
    """The letter. Its Message-ID is the same where the same is sent again, so that mail readers show it once."""
    letter = EmailMessage()
    letter["Subject"] = message.headline
    letter["From"] = channel.sender
    letter["To"] = ", ".join(channel.to)
    letter["Date"] = format_datetime(message.sent_at.astimezone(dt.timezone.utc))
    letter["Message-ID"] = f"<{message.id}.{message.route}@single-customer-view>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(plain(message))
    letter.add_alternative(html(message), subtype="html")
    return letter


def plain(message: Message) -> str:
    """For readers without HTML."""
    parts: list[str] = []
    for heading, items in message.sections():
        parts.append(f"{heading.upper()}\n")
        for item in items:
            condition = item.alert.condition
            rows = [f"  {name}: {value}" for name, value in _rows(item, message)]
            parts.append("\n".join([condition.title, f"  {sentence(item)}", *rows, ""]))
    return "\n".join([*parts, message.rest]).rstrip() + "\n"


def html(message: Message) -> str:
    """Self-contained: no pictures, no style sheets, nothing that a mail reader would load."""
    parts: list[str] = []
    for heading, items in message.sections():
        parts.append(f"<h2 style='font-size:16px'>{escape(heading)}</h2>")
        parts.extend(_card(item, message) for item in items)
    rest = f"<p>{escape(message.rest)}</p>" if message.rest else ""
    return f"<html><body style='font-family:sans-serif;font-size:14px'>{''.join(parts)}{rest}</body></html>"


def _card(item: Item, message: Message) -> str:
    condition = item.alert.condition
    colour = _MENDED if item.word in ("recovered", "passed") else _COLOURS[condition.severity]
    title = escape(condition.title)
    if item.link:
        title = f"<a href='{escape(item.link, quote=True)}' style='color:{colour}'>{title}</a>"
    rows = "".join(
        f"<tr><td style='color:#555;padding-right:12px'>{escape(name)}</td><td>{_value(name, value)}</td></tr>"
        for name, value in facts(item, message.sent_at)
    )
    return (
        f"<div style='border-left:4px solid {colour};padding-left:12px;margin:0 0 16px'><strong>{title}</strong>"
        f"<p style='margin:4px 0'>{escape(sentence(item))}</p><table style='font-size:14px'>{rows}</table></div>"
    )


def _value(name: str, value: str) -> str:
    return f"<code>{escape(value)}</code>" if name == "Next" else escape(value)


def _rows(item: Item, message: Message) -> list[tuple[str, str]]:
    rows = facts(item, message.sent_at)
    return [*rows, ("Page", item.link)] if item.link else rows
