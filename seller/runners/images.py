"""Names of container images, and the list of those that a seller runs."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

NAME_MAX = 255
LOCAL = "localhost/"
PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
HOST = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?"
NAME = re.compile(
    rf"(?:{HOST}/)?{PART}(?:/{PART})*(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?P<digest>@sha256:[0-9a-f]{{64}})?"
)
UNNAMED = "name an image: this seller runs jobs in containers, and has no environment of its own"


def full_name(image: str) -> str:
    """An image's name with its registry and tag, as `docker pull` reads it; "" for a text that is no name.

    What is no name of a registry's image is refused, as engines also take paths of files for images.
    """
    match = NAME.fullmatch(image) if len(image) <= NAME_MAX else None
    if not match:
        return ""
    first, _, rest = image.partition("/")
    if not rest:
        image = f"docker.io/library/{image}"
    elif not ("." in first or ":" in first or first == "localhost"):
        image = f"docker.io/{image}"
    return image if match["tag"] or match["digest"] else f"{image}:latest"


def refusal(image: str, allowed: Sequence[str]) -> str:
    """Why an image is not run, in words for the buyer; "" where it is.

    allowed: patterns of full names, in which * stands for any text, or names with a digest (`name@sha256:…`).
    """
    if not image:
        return UNNAMED
    name = full_name(image)
    if not name:
        return f"{image[:NAME_MAX]!r} is no name of an image, such as docker.io/library/python:3.12"
    if any(fnmatchcase(name, pattern) for pattern in allowed):
        return ""
    return f"this seller does not run the image {name}; it runs {', '.join(allowed) or 'none'}"
