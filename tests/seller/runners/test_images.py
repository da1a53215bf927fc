"""Names of images, and the list of those that a seller runs."""

import pytest

from seller.runners.images import full_name, refusal

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.12", "docker.io/library/python:3.12"),
        ("pytorch/pytorch", "docker.io/pytorch/pytorch:latest"),
        ("ghcr.io/a/b:1", "ghcr.io/a/b:1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("localhost/a", "localhost/a:latest"),
        (f"nvcr.io/nvidia/pytorch@{DIGEST}", f"nvcr.io/nvidia/pytorch@{DIGEST}"),
        ("", ""),
        ("dir:/etc", ""),
        ("docker-archive:/etc/shadow", ""),
        ("containers-storage:x/y", ""),
        ("-v", ""),
        ("../x", ""),
        ("a b", ""),
        ("Upper/case", ""),
        ("docker.io/a/b*", ""),
        ("x" * 300, ""),
        ("a\nb", ""),
        ("a@sha256:12", ""),
    ],
)
def test_an_image_has_a_full_name(image: str, name: str) -> None:
    assert full_name(image) == name


def test_the_list_of_images_allows_its_own_alone() -> None:
    allowed = ["docker.io/pytorch/*", f"ghcr.io/a/b@{DIGEST}"]
    assert refusal("pytorch/pytorch:2.6", allowed) == ""
    assert refusal(f"ghcr.io/a/b@{DIGEST}", allowed) == ""
    for image in ("ghcr.io/a/b:1", f"ghcr.io/a/b@sha256:{'b' * 64}", "evil.io/docker.io/pytorch/x", "pytorchx/y"):
        assert "does not run the image" in refusal(image, allowed), image
    assert "it runs docker.io/pytorch/*" in refusal("x", allowed)
