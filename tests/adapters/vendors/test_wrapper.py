"""The wrapper in a real shell, against a real HTTP server that speaks S3: what it fetches, runs and sends."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from gpuagent.adapters.files.s3 import S3Store
from gpuagent.adapters.vendors.manifest_line import JobNews, read_news
from gpuagent.adapters.vendors.wrapper import LIST, URL_MAX_S, life_s, mark_of, needs_depot, url_list, wrapped_line
from gpuagent.core.model import Envelope, Quote
from gpuagent.core.orders import manifest_sha256, order_text
from gpuagent.core.paths import path_problem, twins
from gpuagent.core.work import Checkpoint, FileEntry
from gpuagent.core.workload import Workload
from tests.support import s3_server
from tests.support.factories import quote

DATA = b"1 2 3\n" * 100


@pytest.fixture(scope="module")
def depot() -> Iterator[S3Store]:
    with s3_server.running() as environ:
        yield S3Store(s3_server.BUCKET, "agent", environ)


def kept(depot: S3Store, content: bytes) -> FileEntry:
    sha256 = hashlib.sha256(content).hexdigest()
    upload = f"test-{sha256}"
    depot.extend(upload, 0, [content], len(content))
    depot.finish(upload, sha256, len(content))
    return FileEntry("data", len(content), sha256)


def ordered(depot: S3Store, command: str | list[str], resume: Checkpoint | None = None, **fields: Any) -> Quote:
    workload = Workload.model_validate({"name": "job", "command": command, **fields})
    folder = depot.new_folder()
    envelope = Envelope(folder, depot.place_url(folder, LIST, 600))
    return replace(quote(), order=order_text(workload.canonical, resume), envelope=envelope)


def input_of(file: FileEntry, path: str = "data") -> dict[str, Any]:
    return {"path": path, "sha256": file.sha256, "bytes": file.bytes}


def run(line: str, folder: Path, environ: Mapping[str, str] = os.environ, shell: str = "/bin/sh") -> tuple[str, int]:
    folder.mkdir(exist_ok=True)
    command = [*shell.split(), "-c", line]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, timeout=240, check=False)
    assert list(folder.iterdir()) == [], "nothing of the job stays with the vendor"
    return done.stdout.decode(), done.returncode


def played(depot: S3Store, order: Quote, folder: Path, **options: Any) -> tuple[JobNews, int]:
    depot.leave(order.envelope.folder, LIST, url_list(order, depot))
    output, code = run(wrapped_line(order), folder, **options)
    return read_news(output.splitlines(), order.envelope.folder), code


def sent(depot: S3Store, order: Quote, news: JobNews, file: FileEntry, checkpoint: str = "") -> bytes:
    slot = news.slots[checkpoint, file.path, file.sha256]
    content = b"".join(depot.fetch(order.envelope.folder, slot))
    assert hashlib.sha256(content).hexdigest() == file.sha256
    return content


def only(folder: Path, *tools: str) -> dict[str, str]:
    """An environment in which a shell finds these tools beside those that every system has."""
    folder.mkdir()
    basics = (
        "sh",
        "sed",
        "cut",
        "wc",
        "tr",
        "mkdir",
        "mktemp",
        "mv",
        "rm",
        "cp",
        "cat",
        "find",
        "tail",
        "sleep",
        "sort",
    )
    for tool in (*basics, *tools):
        path = shutil.which(tool)
        assert path
        (folder / tool).symlink_to(Path(path).resolve() if tool != "python3" else path)
    return {"PATH": str(folder)}


class TestJob:
    def test_inputs_come_the_command_runs_and_outputs_go(self, depot: S3Store, tmp_path: Path) -> None:
        file = kept(depot, DATA)
        order = ordered(
            depot,
            'wc -l < "in/it\'s \\$x.txt"; cat twice/data "in/it\'s \\$x.txt" > out/sum; echo $WORD; exit 3',
            setup="mkdir out; echo ready",
            env={"WORD": "a  b"},
            inputs=[input_of(file, "in/it's $x.txt"), input_of(file, "twice/data")],
            outputs=[{"path": "out/sum"}, {"path": "absent", "required": False}],
        )
        news, code = played(depot, order, tmp_path / "job")
        assert (news.lines, code) == (("ready", "100", "a b"), 3)
        assert (news.ended, news.exit_code, news.problem, news.refused) == (True, 3, "", ())
        (out,) = news.files
        assert out.path == "out/sum"
        assert sent(depot, order, news, out) == DATA * 2

    @pytest.mark.parametrize(
        ("tools", "shell"),
        [
            (("curl", "sha256sum"), "/usr/bin/busybox sh"),
            (("python3",), "/bin/dash"),
            (("wget", "sha256sum"), "/bin/bash"),
        ],
    )
    def test_one_of_three_tools_is_enough(
        self, depot: S3Store, tmp_path: Path, tools: tuple[str, ...], shell: str
    ) -> None:
        if not shutil.which(shell.split()[0]):
            pytest.fail(f"there is no {shell} here: install it, as make does")
        order = ordered(depot, "cat data > copy", inputs=[input_of(kept(depot, DATA))], outputs=[{"path": "copy"}])
        news, code = played(depot, order, tmp_path / "job", environ=only(tmp_path / "bin", *tools), shell=shell)
        assert (code, news.problem, news.lines) == (0, "", ())
        assert sent(depot, order, news, news.files[0]) == DATA

    def test_without_any_of_them_it_says_so_and_runs_nothing(self, depot: S3Store, tmp_path: Path) -> None:
        order = ordered(depot, "echo ran", outputs=[{"path": "copy"}])
        news, code = played(depot, order, tmp_path / "job", environ=only(tmp_path / "bin", "sha256sum"))
        assert (code, news.lines) == (125, ())
        assert "list of URLs" in news.problem

    @pytest.mark.safety("another file than was ordered at an input's signed URL: the command does not run")
    def test_an_input_with_another_content_keeps_the_work_from_beginning(self, depot: S3Store, tmp_path: Path) -> None:
        file = kept(depot, DATA)
        order = ordered(depot, "echo ran", inputs=[input_of(file, 'a"b')], outputs=[{"path": "x", "required": False}])
        depot._write(depot._file(file.sha256), b"another")
        try:
            news, code = played(depot, order, tmp_path / "job")
        finally:
            depot._write(depot._file(file.sha256), DATA)
        assert (code, news.lines, news.exit_code) == (125, (), None)
        assert 'a"b did not come, or is another file' in news.problem

    def test_before_the_order_is_paid_there_is_no_list(self, depot: S3Store, tmp_path: Path) -> None:
        order = ordered(depot, "echo ran", inputs=[input_of(kept(depot, DATA))])
        output, code = run(wrapped_line(order), tmp_path / "job")
        assert code == 125
        assert "list of URLs" in read_news(output.splitlines(), order.envelope.folder).problem

    def test_an_output_above_its_limit_is_not_sent_and_a_metric_is_told(self, depot: S3Store, tmp_path: Path) -> None:
        order = ordered(
            depot,
            """echo '{"step": 1, "loss": 2.5}' > metrics.jsonl; echo 'no json' >> metrics.jsonl; printf no-newline
            echo '{"step": 2, "loss": 0.5}' >> metrics.jsonl; head -c 2000 /dev/zero > big""",
            outputs=[{"path": "big", "max_bytes": 1000}],
            success={"metric": {"name": "loss", "at_most": 1}},
        )
        news, code = played(depot, order, tmp_path / "job")
        assert (code, news.files) == (0, ())
        assert news.lines == ("no-newlinegpuagent: big has more than its 1000 bytes, and is not sent",)
        assert news.metrics == ({"step": 1, "loss": 2.5}, {"step": 2, "loss": 0.5})

    def test_a_checkpoint_is_sent_while_it_runs_and_another_job_goes_on_from_it(
        self, depot: S3Store, tmp_path: Path
    ) -> None:
        step = "echo 2 > state/weights; echo '{\"fraction\": 0.5}' > state/progress.json"
        command = f"mkdir state; {step}; sleep 2.6; echo 3 > state/weights; exit 9"
        order = ordered(depot, command, checkpoint={"path": "state", "every": 1})
        news, code = played(depot, order, tmp_path / "job")
        assert (code, news.exit_code) == (9, 9)
        offer = news.checkpoint
        assert offer
        assert {file.path for file in offer.files} == {"weights", "progress.json"}
        assert offer.sha256 == manifest_sha256(offer.files)
        contents = {file.path: sent(depot, order, news, file, offer.sha256) for file in offer.files}
        assert contents["weights"] == b"2\n", "what came after progress.json is of the next checkpoint"
        for content in contents.values():
            kept(depot, content)
        resume = Checkpoint(offer.sha256, offer.files, 0.5, 0)
        command = 'cat "$GPUAGENT_RESUME/weights" "$GPUAGENT_RESUME/progress.json" > model; echo "${UNSET-none}"'
        order = ordered(depot, command, resume, outputs=[{"path": "model"}])
        news, code = played(depot, order, tmp_path / "job")
        assert code == 0
        assert sent(depot, order, news, news.files[0]) == b'2\n{"fraction": 0.5}\n'

    def test_a_checkpoint_of_too_many_files_is_left_out_in_words(self, depot: S3Store, tmp_path: Path) -> None:
        command = "mkdir state; for i in $(seq 70); do : > state/$i; done; echo {} > state/progress.json; exit 1"
        news, _ = played(depot, ordered(depot, command, checkpoint={"path": "state"}), tmp_path / "job")
        assert news.checkpoint is None
        assert news.lines == ("gpuagent: a checkpoint of more than 64 files is not kept",)


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
SHELLISH = st.lists(
    st.sampled_from(["'", '"', "`", "$(", ")", ";", "\n", "\\", "&", "|", "!", "#", "~", "*", "a", " "])
)
VALUES = TEXTS | SHELLISH.map("".join)
PATHS = (TEXTS | SHELLISH.map("".join)).filter(lambda path: not path_problem(path) and path != "data")
CASES = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.safety("paths, variables and arguments that are shell code: they are text to the wrapper, and stay it")
@CASES
@example(value="'; exit 3; '$(exit 4)", argument="a'; exit 5 #", path="a b';exit 6;'c", output="$(exit 7)' `e`")
@given(value=VALUES, argument=VALUES, path=PATHS, output=PATHS)
def test_nothing_of_a_job_is_read_as_code_of_the_wrapper(
    depot: S3Store, tmp_path: Path, value: str, argument: str, path: str, output: str
) -> None:
    if twins([path, output]):
        return
    script = 'mkdir -p "${3%/*}"; printf "%s\\n%s\\n%s" "$WORD" "$1" "$(cat "$2")" > "$3"'
    order = ordered(
        depot,
        ["sh", "-c", script, "sh", argument, f"./{path}", f"./{output}"],
        env={"WORD": value},
        inputs=[input_of(kept(depot, DATA), path)],
        outputs=[{"path": output}],
    )
    news, code = played(depot, order, tmp_path / "job")
    assert (code, news.lines, news.problem) == (0, (), "")
    assert [file.path for file in news.files] == [output]
    expected = f"{value}\n{argument}\n".encode() + DATA.rstrip(b"\n")
    assert sent(depot, order, news, news.files[0]) == expected


def test_words_of_the_shell_are_names_of_programs(depot: S3Store, tmp_path: Path) -> None:
    for word in ("if", "A=b", "{", "!", "(", "while"):
        _, code = played(depot, ordered(depot, [word, "x"], outputs=[{"path": "o"}]), tmp_path / "job")
        assert code == 127, word


def test_the_text_is_one_for_each_quote_and_has_one_url(depot: S3Store) -> None:
    files = [input_of(kept(depot, DATA)), input_of(kept(depot, DATA[1:]), "more")]
    order = ordered(depot, "true", inputs=files, outputs=[{"path": "o"}], checkpoint={"path": "state"})
    line = wrapped_line(order)
    assert line == wrapped_line(order)
    assert line.count("X-Amz-Signature") == 1
    assert len(line.encode()) < 6_000, "it fits the 16 KiB that Prism takes"
    urls = dict(entry.split(" ") for entry in url_list(order, depot).decode().splitlines())
    assert len(urls) == 2 + 1 + 2 * 64
    assert len(set(urls.values())) == len(urls)
    assert all(order.envelope.folder in url for name, url in urls.items() if not name.startswith("f"))
    assert all(f"X-Amz-Expires={life_s(order.max_hours)}" in url for url in urls.values())
    assert mark_of(order.envelope.folder) in line
    assert order.envelope.folder not in mark_of(order.envelope.folder)
    assert order.envelope.folder not in repr(order)


def test_urls_live_as_long_as_the_job_may() -> None:
    assert life_s(Decimal(1)) == 3 * 3600
    assert life_s(Decimal(83)) < URL_MAX_S < life_s(Decimal(84))


def test_only_jobs_with_files_or_a_metric_are_wrapped() -> None:
    for fields, is_wrapped in (
        ({}, False),
        ({"outputs": [{"path": "o"}]}, True),
        ({"checkpoint": {"path": "state"}}, True),
        ({"success": {"metric": {"name": "loss", "at_most": 1}}}, True),
        ({"inputs": [{"path": "i", "sha256": "a" * 64, "bytes": 1}]}, True),
    ):
        workload = Workload.model_validate({"name": "job", "command": "true", **fields})
        assert needs_depot(order_text(workload.canonical, None)) is is_wrapped
