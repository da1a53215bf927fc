"""JSON in a header of x402, as sellers write it: https://github.com/coinbase/x402 (specs/transports-v2/http.md)."""

import base64

_URL_SAFE = str.maketrans("-_", "+/")


def header_json(header: str) -> bytes:
    """The JSON of a seller's header: in base64 of either alphabet, padded or not, or as it is. Raises ValueError."""
    if header.startswith("{"):
        return header.encode()
    text = header.translate(_URL_SAFE).rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
