"""The quickstart and the console by papermill, on the stack that they start themselves."""

from pathlib import Path

from tests.support.notebooks import FOLDER, PAPERMILL, embedded, ended, errors, notebook

OPTIONS = ("-k", "python3", "--no-progress-bar")


def shown(path: Path) -> str:
    """What a reader sees without a kernel."""
    outputs = [output for one in notebook(path).cells for output in one.get("outputs", ())]
    return "".join(str(one.get("text", "")) + str(one.get("data", {}).get("text/html", "")) for one in outputs)


def test_quickstart_then_its_run_in_the_console(tmp_path: Path) -> None:
    environment, first, second = embedded(tmp_path), tmp_path / "first.ipynb", tmp_path / "second.ipynb"
    chosen = ("-p", "budget", "6", "-p", "fail_vendor", "none")
    made = ended(environment, *PAPERMILL, str(FOLDER / "00_quickstart.ipynb"), str(first), *OPTIONS, *chosen)
    assert (made.returncode, errors(first)) == (0, []), made.stderr
    text = shown(first)
    assert "gpu_vendor_1 completed the job" in text
    assert "the books balance" in text
    run_id = text.split("run ", 1)[1][:24]
    console = str(FOLDER / "10_run_console.ipynb")
    opened = ended(environment, *PAPERMILL, console, str(second), *OPTIONS, "-r", "run_id", run_id)
    assert (opened.returncode, errors(second)) == (0, []), opened.stderr
    assert run_id in shown(second)
    assert "SUCCESS" in shown(second)


def test_a_quickstart_that_cannot_be_bought_says_why(tmp_path: Path) -> None:
    out = tmp_path / "out.ipynb"
    chosen = ("-p", "budget", "0.5")
    made = ended(embedded(tmp_path), *PAPERMILL, str(FOLDER / "00_quickstart.ipynb"), str(out), *OPTIONS, *chosen)
    assert made.returncode == 0, made.stderr
    assert "no vendor can do it with 0.50 USD" in shown(out)
