"""The quickstart and the console by papermill, on the stack that they start themselves."""

from pathlib import Path

from tests.support.notebooks import FOLDER, PAPERMILL, embedded_environment, errors, notebook, run_process

QUICKSTART, CONSOLE = str(FOLDER / "00_quickstart.ipynb"), str(FOLDER / "10_run_console.ipynb")
OPTIONS = ("-k", "python3", "--no-progress-bar")


def text_of(path: Path) -> str:
    """The outputs, as a reader sees them without a kernel."""
    outputs = [output for cell in notebook(path).cells for output in cell.get("outputs", ())]
    return "".join(str(output.get("text", "")) + str(output.get("data", {}).get("text/html", "")) for output in outputs)


def test_a_quickstart_that_cannot_be_bought_says_why_and_its_run_opens_in_the_console(tmp_path: Path) -> None:
    environment, first, second = embedded_environment(tmp_path), tmp_path / "first.ipynb", tmp_path / "second.ipynb"
    process = run_process(environment, *PAPERMILL, QUICKSTART, str(first), *OPTIONS, "-p", "budget", "0.5")
    assert (process.returncode, errors(first)) == (0, []), process.stderr
    text = text_of(first)
    assert "no vendor can do it with 0.50 USD" in text
    run_id = text.split("run ", 1)[1][:24]
    process = run_process(environment, *PAPERMILL, CONSOLE, str(second), *OPTIONS, "-r", "run_id", run_id)
    assert (process.returncode, errors(second)) == (0, []), process.stderr
    assert run_id in text_of(second)
    assert "FAILED" in text_of(second)
