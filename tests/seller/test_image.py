"""The image of deploy/seller/Containerfile: whose user it is, what it starts, and what is not in it."""

import json

import pytest

from tests.support.podman import podman
from tests.support.seller_image import OF_PIP, built


def test_the_image_is_a_seller_and_nobody_elses() -> None:
    (image,) = json.loads(podman("image", "inspect", built()))
    config = image["Config"]
    assert config["User"] == "seller"
    assert config["Entrypoint"] == ["gpuagent", "sell"]
    assert config["Cmd"] == ["--config", "/etc/gpuagent/seller.yaml"]
    assert config["StopSignal"] == "SIGTERM"
    assert {entry.partition("=")[0] for entry in config["Env"]} <= {"PATH", "container"}
    look = ("run", "--rm", "--network=none", "--entrypoint=sh", built(), "-c", f"cat {OF_PIP[0]} || true")
    assert podman(*look) == ""  # how pip reaches its index here is no part of it


def test_without_its_configuration_it_says_which_file_it_wants() -> None:
    with pytest.raises(AssertionError, match=r"ended with 2: seller: /etc/gpuagent/seller\.yaml cannot be read"):
        podman("run", "--rm", "--network=none", built())
