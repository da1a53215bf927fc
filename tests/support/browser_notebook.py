"""A notebook in a real browser: run its cells, read what it shows, click its buttons."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.support.lab import Lab

FLAGS = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
FLAGS += ["disable-component-update", "disable-sync"]
SLOW_MS = 60_000
READY = """async () => {
  await window.jupyterapp.restored;
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
}"""
CELLS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
  .filter(cell => cell.cell_type === 'code')
  .map(cell => ({count: cell.execution_count,
                 errors: cell.outputs.filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue)}))"""
CELL_TYPES = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
  .map(cell => cell.cell_type)"""

THEME = "name => document.body.dataset.jpThemeName === name"
EXECUTE = """async code => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  return (await kernel.requestExecute({code, silent: true}).done).content;
}"""
CLICK = """async ([name, result]) => {
  const panel = document.querySelector('.ga-panel');
  const button = [...panel.querySelectorAll('button')].find(button => button.textContent === name);
  return await new Promise(resolve => {
    const startedAt = performance.now();
    const look = () => {
      const match = panel.textContent.match(result);
      if (match) resolve([Number(match[1]) * 1000, performance.now() - startedAt]);
    };
    new MutationObserver(look).observe(panel, {subtree: true, childList: true, characterData: true});
    button.click();
  });
}"""


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert binary, "no chromium: apt-get install -y chromium, or put Google Chrome on PATH"
    expect.set_options(timeout=SLOW_MS)  # its default of five seconds ends on a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=[f"--{flag}" for flag in (*FLAGS, *flags)])
        yield browser
        browser.close()


@dataclass(frozen=True)
class Pictures:
    """Screenshots by name, in the folder; without one none is taken: nothing is held against them."""

    folder: Path | None

    def take(self, screen: Page | Locator, name: str) -> None:
        if self.folder:
            screen.screenshot(path=self.folder / f"{name}.png")


class Notebook:
    def __init__(self, page: Page, lab: Lab, name: str) -> None:
        self.page = page
        page.goto(lab.page_of(name), timeout=SLOW_MS)
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.shell.currentWidget", timeout=SLOW_MS)
        page.evaluate(READY)

    def run_all(self) -> None:
        """Returns once every code cell has run without an error."""
        self.command("notebook:run-all-cells")
        cells = self.page.evaluate(CELLS)
        assert [cell["errors"] for cell in cells] == [[]] * len(cells), cells
        assert all(cell["count"] for cell in cells), cells

    def command(self, name: str, arguments: dict[str, str] | None = None) -> None:
        self.page.evaluate("call => window.jupyterapp.commands.execute(...call)", [name, arguments or {}])

    def cell_types(self) -> list[str]:
        types: list[str] = self.page.evaluate(CELL_TYPES)
        return types

    def execute(self, code: str) -> None:
        """Run code in the notebook's kernel, as another process would that writes to its database."""
        reply = self.page.evaluate(EXECUTE, code)
        assert reply["status"] == "ok", reply

    def end_kernel(self) -> None:
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")

    def restart_kernel(self) -> None:
        """The kernel anew, and no output left."""
        self.end_kernel()
        self.command("notebook:clear-all-cell-outputs")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def click(self, name: str) -> None:
        self.button(name).click(timeout=SLOW_MS)

    def write(self, label: str, value: str) -> None:
        self.page.get_by_label(label, exact=True).fill(value)

    def sees(self, text: str, within_ms: int = SLOW_MS) -> None:
        expect(self.panel).to_contain_text(text, timeout=within_ms)

    def text_of(self, tag: str, beginning: str) -> str:
        matches = self.page.locator(f".ga-panel {tag}", has_text=beginning)
        return str(matches.first.text_content())

    def timed_click(self, name: str, result: str) -> tuple[float, float]:
        """Milliseconds of the work itself, as the first group of `result` says in seconds, and until it was seen."""
        work_ms, seen_ms = self.page.evaluate(CLICK, [name, result])
        return work_ms, seen_ms

    def download(self, button: str, link: str) -> bytes:
        """Click a button, then the link that it brings, and read the file that the browser saves."""
        self.click(button)
        anchor = self.panel.get_by_role("link", name=link, exact=True)
        with self.page.expect_download(timeout=SLOW_MS) as download:
            anchor.click(timeout=SLOW_MS)
        return download.value.path().read_bytes()

    @property
    def panel(self) -> Locator:
        return self.page.locator(".ga-panel")

    def change_theme(self, theme: str) -> None:
        """To Light or Dark; returns once it is drawn in it."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
        self.page.wait_for_function(THEME, arg=f"JupyterLab {theme}", timeout=SLOW_MS)
