"""A large file goes through a process in parts: into the store, proven there, and out again."""

import subprocess
import sys
from pathlib import Path

from tests.support.market import Market

MEGABYTES, GROWTH_MAX = 64, 32
PROGRAM = """
import hashlib, resource, sys
from pathlib import Path
from types import SimpleNamespace
from pymongo import MongoClient
from gpuagent.adapters.files.gridfs import GridFsStore
from gpuagent.render.saving import save

uri, folder, megabytes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
block, digest = bytes(range(256)) * 4096, hashlib.sha256()
for _ in range(megabytes):
    digest.update(block)
client = MongoClient(uri)
store = GridFsStore(client["gpuagent_large_file"], lambda: 1.8e9)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
size = len(block) * megabytes
store.extend("large", 0, (block for _ in range(megabytes)), size)
store.finish("large", digest.hexdigest(), size)
save(folder / "large.bin", SimpleNamespace(bytes=size, sha256=digest.hexdigest()), store)
print((peak() - before) / 1024)
client.drop_database("gpuagent_large_file")
"""


def test_a_large_file_is_never_whole_in_memory(shared_market: Market, tmp_path: Path) -> None:
    arguments = [shared_market.environment["MONGODB_URI"], str(tmp_path), str(MEGABYTES)]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "large.bin").stat().st_size == MEGABYTES * 2**20
    assert float(result.stdout) < GROWTH_MAX
