"""How somebody is told: by e-mail, or by a webhook that takes what Slack's takes. Knows nothing of Dagster."""

import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Final
from urllib.parse import urlsplit

from retail_assets.http import HttpClient, HttpError
from retail_assets.settings import MailChannel, WebhookChannel

_TIMEOUT_SECONDS: Final = 20
_LONGEST_SUBJECT: Final = 180
#: Slack cuts at 40,000 characters, others earlier.
_LONGEST_TEXT: Final = 12_000


class ChannelError(Exception):
    """A channel could not be used; the message holds no secret."""


def send(channel: MailChannel | WebhookChannel, subject: str, text: str) -> None:
    """Tell whoever is behind a channel.

    Raises:
        ChannelError: nobody can be sure to have been told.
    """
    if isinstance(channel, MailChannel):
        _mail(channel, subject, text)
    else:
        _post(channel, subject, text)


def _mail(channel: MailChannel, subject: str, text: str) -> None:
    message = EmailMessage()
    message["From"] = channel.sender
    message["To"] = ", ".join(channel.to)
    message["Subject"] = " ".join(subject.split())[:_LONGEST_SUBJECT]
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=channel.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # So that no holiday notice answers it.
    message.set_content(text)
    try:
        if channel.security == "tls":
            server = smtplib.SMTP_SSL(
                channel.host, channel.port, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(channel.host, channel.port, timeout=_TIMEOUT_SECONDS)
        with server:
            if channel.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if channel.user is not None and channel.password is not None:
                server.login(channel.user, channel.password.get_secret_value())
            refused = server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        # Servers have been seen to repeat what they were sent.
        raise ChannelError(f"{channel.host} refused the user or the password ({error.smtp_code})") from None
    except (smtplib.SMTPException, OSError) as error:
        raise ChannelError(f"{channel.host}:{channel.port}: {type(error).__name__}: {error}") from error
    if refused:
        raise ChannelError(f"{channel.host} did not take it for {', '.join(sorted(refused))}")


def _post(channel: WebhookChannel, subject: str, text: str) -> None:
    parts = urlsplit(channel.url.get_secret_value())
    client = HttpClient(f"{parts.scheme}://{parts.netloc}", timeout=_TIMEOUT_SECONDS, retries=0)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        client.request("POST", path, json={"text": _escaped(f"*{subject}*\n{text}"[:_LONGEST_TEXT])})
    except HttpError as error:
        # The path is the secret of such an address, and the error names it.
        reason = str(error).replace(parts.path, "/…") if len(parts.path) > 1 else str(error)
        raise ChannelError(reason) from None
    finally:
        client.close()


def _escaped(text: str) -> str:
    """An order's text must not call a whole channel (<!channel>)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
