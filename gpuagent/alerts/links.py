"""Links that answer an approval request: a signed token names the purchase, its amount and quote, and the channel.

A token is spent once its purchase is answered, by it or otherwise, for a purchase is answered once; it ends with the
request. What it allows is what agent/approve.py allows: it changes no check there.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from hashlib import sha256
from urllib.parse import urlencode

from gpuagent.alerts.delivery import LinkSettings
from gpuagent.core.alerts import Purchase
from gpuagent.errors import BadInput

PATH = "/approval"
PARAMETER = "t"
TOKEN_MAX = 2_000
_PURPOSE = b"gpuagent/approval-link/1\0"


def link_to(purchase: Purchase, channel: str, links: LinkSettings) -> str:
    """The URL that a channel's message carries."""
    return f"{links.url}{PATH}?{urlencode({PARAMETER: token_for(purchase, channel, links)})}"


def token_for(purchase: Purchase, channel: str, links: LinkSettings) -> str:
    """The signed text that stands for one purchase in a channel's link."""
    fields = [purchase.run_id, purchase.job_id, purchase.amount, purchase.quote, purchase.expires_at, channel]
    payload = json.dumps(fields, separators=(",", ":")).encode()
    return f"{_text(payload)}.{_text(_signature(payload, links))}"


def read_token(token: str, links: LinkSettings) -> tuple[Purchase, str]:
    """The purchase, and the channel that the token was sent to. Raises BadInput for one that is not ours.

    Nothing of it is read before its signature has been proven.
    """
    if len(token) > TOKEN_MAX:
        raise _not_ours()
    try:
        payload, signature = map(_bytes, token.encode("ascii").split(b"."))
    except (ValueError, UnicodeError, Error):
        raise _not_ours() from None
    if not hmac.compare_digest(signature, _signature(payload, links)):
        raise _not_ours()
    run_id, job_id, amount, quote, expires_at, channel = json.loads(payload)
    return Purchase(run_id, job_id, amount, quote, expires_at), channel


def _not_ours() -> BadInput:
    return BadInput("this link is not valid: it is not whole, or was not made by this server")


def _signature(payload: bytes, links: LinkSettings) -> bytes:
    return hmac.new(links.secret.encode(), _PURPOSE + payload, sha256).digest()


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _bytes(text: bytes) -> bytes:
    value = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    if urlsafe_b64encode(value).rstrip(b"=") != text:  # one spelling of a token, and no other
        raise ValueError
    return value
