"""A workload with files as one text for a shell: it fetches inputs, proves them, runs the work and sends what it left.

The text is the same at every order of a job. It names one signed URL, of the list of all others, which is there only
once the job is paid; files and hashes stand in the text itself, so that the list decides nothing but from where.
docs/how-it-delivers.md has the whole of it; wrapper.sh what runs there.
"""

import hashlib
import json
import shlex
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from importlib.resources import files

from gpuagent.adapters.vendors.shell_line import shell_line, workload_of
from gpuagent.core.model import Quote
from gpuagent.core.ports.files import Depot
from gpuagent.core.workload import METRICS, RESUME_VARIABLE, Workload

SETS = "ab"
"""Checkpoints are sent to two sets of places by turns, so that one can be fetched while the next is written."""
CHECKPOINT_FILES_MAX = 64
URL_MAX_S = 7 * 86_400
"""Seconds: no signature of S3 lives longer."""
OVERRUN, SPARE_S = 2, 3_600
"""URLs live as long as a job is waited for at most: twice the paid hours, and what it takes to begin and to send."""
METRICS_TAIL = 50
LIST = "urls"
"""The name of the list in the job's folder."""


def needs_depot(order: str) -> bool:
    """Whether a job has to be wrapped: it reads or leaves files, or is tested by a metric, which is in a file."""
    job = workload_of(order)
    return bool(job.inputs or job.outputs or job.checkpoint or job.success.metric or "resume" in json.loads(order))


def life_s(max_hours: Decimal) -> int:
    """Seconds that a job's URLs live."""
    return int(max_hours * 3600 * OVERRUN) + SPARE_S


def mark_of(folder: str) -> str:
    """What stands before and after each line that is for the agent: nothing that a program would print by chance.

    No secret: the folder cannot be told from it.
    """
    return f"[gpuagent {hashlib.sha256(f'manifest of {folder}'.encode()).hexdigest()[:32]}]"


def wrapped_line(quote: Quote) -> str:
    """The command of a quote, which has an envelope. All that is not ours is quoted; nothing of it is read as code."""
    job, resume = workload_of(quote.order), json.loads(quote.order).get("resume", {}).get("files", [])
    lines = [
        f"_g_m={shlex.quote(mark_of(quote.envelope.folder))}",
        f"_g_n={CHECKPOINT_FILES_MAX}",
        _functions(),
        '_g_d=$PWD; [ -w . ] || _g_d=/tmp; _g_w=$(mktemp -d "$_g_d/gpuagent.XXXXXX") || exit 125',
        'mkdir "$_g_w/job" "$_g_w/resume" && cd "$_g_w/job" || exit 125',
        f'_g_get {shlex.quote(quote.envelope.url)} "$_g_w/{LIST}" || _g_die {_argument("no list of URLs came")}',
        *(_input("./", entry.path, str(entry.sha256)) for entry in job.inputs),
        *(_input('"$_g_w"/resume/', file["path"], file["sha256"]) for file in resume),
    ]
    if job.checkpoint:
        lines += [f"_g_c=./{shlex.quote(job.checkpoint.path)}", f"_g_watch {job.checkpoint.every} </dev/null 2>&1 &"]
        lines += ["_g_b=$!"]
    resumed = f'export {RESUME_VARIABLE}="$_g_w/resume"' if resume else f"unset {RESUME_VARIABLE}"
    lines += ["(", resumed, shell_line(job), ")", "_g_r=$?", "_g_l="]
    if job.checkpoint:
        lines += ['kill "$_g_b" 2>/dev/null; wait "$_g_b" 2>/dev/null', '[ "$_g_r" -eq 0 ] || _g_keep']
    lines += [
        f"_g_out ./{shlex.quote(output.path)} {shlex.quote(json.dumps(output.path))} o{number} {output.max_bytes}"
        for number, output in enumerate(job.outputs)
    ]
    if job.success.metric:
        metric = 'while IFS= read -r _g_p; do _g_say "{\\"metric\\":$_g_p}"; done'
        lines += [f"[ ! -f {METRICS} ] || tail -n {METRICS_TAIL} {METRICS} | cut -c1-2000 | {metric}"]
    lines += ['_g_say "{\\"end\\":true,\\"exit\\":$_g_r,\\"files\\":[$_g_l]}"', 'cd /; rm -rf "$_g_w"; exit "$_g_r"']
    return "\n".join(lines)


def url_list(quote: Quote, depot: Depot) -> bytes:
    """The list that the command fetches: of each file that it reads a URL, and of each that it may leave. Raises
    StoreError."""
    job, resume = workload_of(quote.order), json.loads(quote.order).get("resume", {}).get("files", [])
    seconds, folder = life_s(quote.max_hours), quote.envelope.folder
    hashes = dict.fromkeys([*(str(entry.sha256) for entry in job.inputs), *(file["sha256"] for file in resume)])
    lines = [f"f{sha256} {depot.url(sha256, seconds)}" for sha256 in hashes]
    lines += [f"{slot} {depot.place_url(folder, slot, seconds, write=True)}" for slot in _slots(job)]
    return "".join(f"{line}\n" for line in lines).encode()


def _slots(job: Workload) -> Iterator[str]:
    yield from (f"o{number}" for number in range(len(job.outputs)))
    if job.checkpoint:
        yield from (f"{name}{number}" for name in SETS for number in range(CHECKPOINT_FILES_MAX))


def _input(folder: str, path: str, sha256: str) -> str:
    problem = f"{path} did not come, or is another file than was ordered"
    return f"_g_in {folder}{shlex.quote(path)} {sha256} {_argument(problem)}"


def _argument(text: str) -> str:
    """A text as an argument that stands in a JSON string."""
    return shlex.quote(json.dumps(text)[1:-1])


@cache
def _functions() -> str:
    return files("gpuagent.adapters.vendors").joinpath("wrapper.sh").read_text().rstrip()
