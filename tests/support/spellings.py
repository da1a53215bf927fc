"""The ways in which a server can send a secret back that it was sent."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

SECRET = "aB3-xYz_9QwErTyUiOpAsDfGhJkL1234"


def spellings(secret: str = SECRET) -> dict[str, str]:
    """The secret in each spelling, by its name."""
    data, middle = secret.encode(), len(secret) // 2
    return {
        "plain": secret,
        "upper case": secret.upper(),
        "percent": quote(secret, safe=""),
        "every byte in percent": "".join(f"%{byte:02x}" for byte in data),
        "percent twice": "".join(f"%25{byte:02X}" for byte in data),
        "JSON escapes": "".join(f"\\u{byte:04x}" for byte in data),
        "JSON in JSON": json.dumps("".join(f"\\u{byte:04x}" for byte in data)),
        "Python escapes": "".join(f"\\x{byte:02x}" for byte in data),
        "Python bytes": repr(data),
        "HTML": "".join(f"&#{byte};" for byte in data),
        "HTML in hex": "".join(f"&#x{byte:x};" for byte in data),
        "base64": b64encode(data).decode(),
        "base64 behind one byte": b64encode(b"." + data).decode(),
        "base64 behind two": urlsafe_b64encode(b"u:" + data + b"zz").decode(),
        "hex": data.hex(),
        "hex in capitals": data.hex().upper(),
        "spaced": " ".join(secret),
        "on two lines": f"{secret[:middle]}\n{secret[middle:]}",
        "with marks of no width": "\u200b".join(secret),
        "its beginning": secret[: len(secret) * 2 // 3],
        "its middle": secret[4:-6],
        "its end": secret[-(len(secret) * 2 // 3) :],
        "twice": secret + secret,
    }


def leaks(secret: str, text: str, length: int = 12) -> list[str]:
    """The parts of the secret of this length that stand in the text, in plain, hex or base64."""
    parts = [secret[place : place + length] for place in range(len(secret) - length + 1)]
    lowered = "".join(text.split()).lower()
    hexed = [part for part in parts if part.encode().hex() in lowered]
    return [part for part in parts if part.lower() in lowered] + hexed
