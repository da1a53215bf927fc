"""The notebooks in a real browser: `gpuagent lab` on embedded parts, and JupyterLab."""

import time
from collections.abc import Callable
from itertools import product

import pytest
from playwright.sync_api import Locator, expect

from tests.support import delivered_run
from tests.support.browser_notebook import Notebook, Pictures
from tests.support.screen_access import check_screen

Opened = Callable[[str], Notebook]
DELIVER = """
from gpuagent.session import connect
from tests.support import delivered_run

agent = connect().agent
delivered_run.deliver(agent.store.connection.database, agent.ports.files, "{run_id}")
"""
RUNS = 1_100
SEED = f"""
from gpuagent.session import connect
from tests.support import big_history

big_history.write(connect().agent.store.connection.database, {RUNS})
"""


def test_quickstart_runs_all_cells_and_its_run_moves_in_the_console(opened: Opened, pictures: Pictures) -> None:
    console, quickstart = opened("10_run_console.ipynb"), opened("00_quickstart.ipynb")
    seconds_to_panel(console)
    console.sees("No run is open")
    quickstart.run_all()
    page = quickstart.page.locator(".jp-Notebook")
    for text in ("gpu_vendor_1 failed the job", "gpu_vendor_2 completed the job", "the books balance"):
        expect(page).to_contain_text(text)
    pictures.take(quickstart.page, "quickstart")
    expect(console.page.get_by_role("grid", name="Runs")).to_contain_text("SUCCESS")


def test_a_run_by_hand_at_the_console(opened: Opened, pictures: Pictures, capsys: pytest.CaptureFixture[str]) -> None:
    """Launch, step, tick; a vendor fails; the next purchase is approved; the kernel restarts; the run succeeds."""
    notebook = opened("10_run_console.ipynb")
    first_screen_s = seconds_to_panel(notebook)
    check_form(notebook, pictures)
    check_keys(notebook)
    set_up(notebook)
    notebook.click("New run")
    notebook.click("Launch")
    notebook.sees("Started run")
    notebook.sees("Phase PLANNING")
    run_id = notebook.text_of("code", "run ").removeprefix("run ")
    notebook.button("Step").press("Enter")
    notebook.sees("Step took")
    expect(notebook.button("Step")).to_be_focused()  # it was disabled meanwhile
    notebook.sees("Phase EXECUTING")
    tick_ms, seen_ms = notebook.timed_click("Tick", r"Tick took ([\d.]+) s")
    notebook.sees("Phase WAITING")
    pictures.take(notebook.panel, "waiting")
    notebook.click("Auto")
    notebook.sees("Approve 1.75 USD for gpu_vendor_2?")
    pictures.take(notebook.panel, "approval")
    check_inbox(notebook, pictures)
    check_names(notebook, "Runs", "Approve 1.75 USD", "Jobs", "Payments", "Phase APPROVAL: a user approves", "Show")
    notebook.click("Approve 1.75 USD")
    notebook.sees("1.75 USD to gpu_vendor_2 settled on chain")

    notebook.restart_kernel()
    restarted_s = seconds_to_panel(notebook)
    notebook.sees(f"run {run_id}")
    notebook.click("Auto")
    notebook.sees("Auto is done: the run is in SUCCESS")
    notebook.sees("Phase SUCCESS")
    notebook.sees("3.15 USD")
    pictures.take(notebook.panel, "console")
    check_timeline(notebook, pictures)
    check_delivery(notebook, run_id, pictures)
    with capsys.disabled():
        print(f"\nfirst useful screen: {first_screen_s:.1f} s after Run All, {restarted_s:.1f} s after a restart")
        print(f"a click on Tick: result seen {seen_ms - tick_ms:.0f} ms beyond the tick's own {tick_ms:.0f} ms")


def test_the_kill_switch_dark_theme_and_many_runs(
    opened: Opened, pictures: Pictures, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = opened("10_run_console.ipynb")
    notebook.change_theme("Dark")
    seconds_to_panel(notebook)
    notebook.write("Reason", "a fire drill")
    notebook.click("Kill switch")
    notebook.sees("No run is running; later ones stand still")
    notebook.click("Halt all payments")
    notebook.sees("All payments are halted")
    notebook.click("Launch")
    notebook.sees("Started run")
    notebook.click("Tick")
    notebook.sees("a fire drill. Nothing was signed")
    pictures.take(notebook.panel, "dark")
    notebook.write("Reason", "over")
    notebook.click("Resume payments")
    notebook.sees("Payments may be signed again")
    notebook.write("Reason", "a drill")
    notebook.click("Cancel run")
    notebook.sees("Phase FAILED")
    delays = check_run_table(notebook, pictures)
    with capsys.disabled():
        print("\nthe table, ms: " + ", ".join(f"{name} {ms:.0f}" for name, ms in delays.items()))


def seconds_to_panel(notebook: Notebook) -> float:
    """Seconds from Run All to the panel."""
    started_at = time.monotonic()
    notebook.run_all()
    notebook.sees("gpuagent console")
    return time.monotonic() - started_at


def check_form(notebook: Notebook, pictures: Pictures) -> None:
    notebook.sees("A try of 1 h of A100 costs 1.40 USD to 2.52 USD")
    notebook.write("Budget, USD", "0")
    notebook.write("Hours", "many")
    notebook.sees("more than 0 USD")
    notebook.sees("a number of GPU hours")
    expect(notebook.button("Launch")).to_be_disabled()
    pictures.take(notebook.panel, "form")
    notebook.write("Budget, USD", "6")
    notebook.write("Hours", "1")
    notebook.sees("gpu_vendor_1, 1.40 USD/h, advertises 86%")  # once it is asked again
    check_names(notebook, "Goal", "GPU type", "Planner", "gpu_vendor_1, 1.40 USD/h, advertises 86%", "Launch")
    expect(notebook.button("Launch")).to_be_enabled()
    notebook.click("New run")


def check_keys(notebook: Notebook) -> None:
    """Keys on a focused button stay in the panel: X would cut its cell, and 0 0 restart its kernel."""
    check_kept(notebook, notebook.button("Limits"), "ArrowUp", "Shift+Enter")
    expect(notebook.page.get_by_label("Each payment, USD", exact=True)).to_be_visible()  # Enter pressed the button
    notebook.page.keyboard.press("Space")
    expect(notebook.page.get_by_label("Each payment, USD", exact=True)).to_be_hidden()


def check_kept(notebook: Notebook, control: Locator, *more_keys: str) -> None:
    """No key that is pressed on a control of the panel reaches the notebook's shortcuts."""
    cells = notebook.cell_types()
    control.focus()
    for key in ("x", "d", "d", "a", "b", "m", "0", "0", *more_keys):
        notebook.page.keyboard.press(key)
    expect(control).to_be_focused()
    expect(notebook.page.locator(".jp-Dialog")).to_have_count(0)
    assert notebook.cell_types() == cells


def check_run_table(notebook: Notebook, pictures: Pictures) -> dict[str, float]:
    """The table over RUNS more runs, by keyboard alone; milliseconds from a key or click to the rows."""
    notebook.execute(SEED)
    page, table, delays = notebook.page, notebook.page.get_by_role("grid", name="Runs"), {}
    notebook.sees("1 to 25 of more than 1,000 runs")
    rows, focused = table.locator("tbody tr"), page.locator("tr:focus")
    rows.first.focus()
    newest = table.locator("tbody tr[aria-selected=true]")
    for key, place in (("ArrowDown", 1), ("End", 24), ("ArrowUp", 23), ("Home", 0), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert focused.get_attribute("data-id") == rows.nth(place).get_attribute("data-id"), key
    delays["next page"] = delay(notebook, lambda: page.keyboard.press("PageDown"), "26 to 50 of")
    page.keyboard.press("ArrowDown")
    run_id = str(focused.get_attribute("data-id"))
    page.keyboard.press("Enter")
    notebook.sees(f"run {run_id}")
    expect(newest).to_have_attribute("data-id", run_id)
    expect(focused).to_have_attribute("data-id", run_id)
    check_kept(notebook, newest)
    delays["search"] = delay(notebook, lambda: notebook.write("Search runs", run_id[:16]), "1 to 1 of 1 run")
    notebook.click("Clear filters")
    notebook.sees("1 to 25 of more than 1,000 runs")
    cheapest = table.get_by_role("columnheader", name="Spent")
    table.get_by_role("button", name="Spent").press("Enter")
    expect(cheapest).to_have_attribute("aria-sort", "descending")
    started_at = time.monotonic()
    table.get_by_role("button", name="Spent").click()
    expect(cheapest).to_have_attribute("aria-sort", "ascending")
    delays["sort"] = (time.monotonic() - started_at) * 1000
    take_looks(notebook, pictures, "runs", 400, 900, 1440)
    notebook.end_kernel()
    notebook.sees("restart the cell")
    return delays


def take_looks(notebook: Notebook, pictures: Pictures, name: str, *widths: int) -> None:
    """Pictures of the panel in both themes and these widths; afterwards both are as the tests begin with."""
    for theme, width in product(("Light", "Dark"), widths if pictures.folder else ()):
        notebook.change_theme(theme)
        notebook.page.set_viewport_size({"width": width, "height": 1900})
        pictures.take(notebook.panel, f"{name}-{theme.lower()}-{width}")
    notebook.page.set_viewport_size({"width": 1280, "height": 1900})
    notebook.change_theme("Light")


def delay(notebook: Notebook, act: Callable[[], object], result: str) -> float:
    """Milliseconds until the panel shows the result."""
    started_at = time.monotonic()
    act()
    notebook.sees(result)
    return (time.monotonic() - started_at) * 1000


def check_timeline(notebook: Notebook, pictures: Pictures) -> None:
    """A decision and a payment opened by keyboard; a copy fills in the form, and starts nothing."""
    notebook.click("Timeline")
    timeline = notebook.page.get_by_role("grid", name="Timeline")
    timeline.get_by_role("row", name="decision 1").focus()
    notebook.page.keyboard.press("Enter")
    notebook.sees("What the planner was told")
    timeline.get_by_role("row", name="1.75 USD to gpu_vendor_2 settled on chain").focus()
    notebook.page.keyboard.press("Enter")
    notebook.sees("The payment")
    check_kept(notebook, timeline.locator("tr:focus"))
    check_kept(notebook, notebook.page.get_by_role("region", name="Event log"))
    check_names(notebook, "Timeline", "Entries", "Copy to a new run")
    pictures.take(notebook.panel, "timeline")
    notebook.click("Copy to a new run")
    notebook.sees("is copied into New run")
    expect(notebook.page.get_by_label("Budget, USD", exact=True)).to_have_value("6.00")
    notebook.click("New run")
    notebook.click("Compare")
    check_kept(notebook, notebook.page.get_by_label("Other run", exact=True))
    check_kept(notebook, notebook.button("Show both"))
    check_names(notebook, "Other run", "Show both")
    notebook.click("Compare")


def check_delivery(notebook: Notebook, run_id: str, pictures: Pictures) -> None:
    """Files and metrics that another process stores appear; a file is saved by its link. On the dark screen."""
    notebook.sees("This run has no job file")
    notebook.execute(DELIVER.format(run_id=run_id))
    notebook.sees("try 2, gpu_vendor_2: resumed at 47%, loss 1.776 at step 200, completed")
    take_looks(notebook, pictures, "delivered", 900, 1440)
    notebook.change_theme("Dark")
    check_names(notebook, "File", "Get link", "Save files", "Metric", "Files")
    notebook.page.get_by_label("File", exact=True).select_option("model.npz (160.0 kB, output of try 2)")
    assert notebook.download("Get link", "Save model.npz") == delivered_run.MODEL
    notebook.click("Save files")
    notebook.sees(f"gpuagent-files/{run_id}")


def check_inbox(notebook: Notebook, pictures: Pictures) -> None:
    """A badge says that something waits; what is chosen is approved at its price. Nothing is approved."""
    notebook.click("Inbox (1)")
    box = notebook.page.get_by_label("1.75 USD to gpu_vendor_2 for 1 h of A100")
    box.check()
    notebook.sees("Nothing else waits for you.")
    check_kept(notebook, box)
    take_looks(notebook, pictures, "inbox", 400, 900, 1440)
    check_names(notebook, "Approve 1, 1.75 USD in all")
    notebook.click("Inbox (1)")


def set_up(notebook: Notebook) -> None:
    """Purchases above 1.50 USD need approval, and the cheapest vendor's jobs fail."""
    notebook.click("Limits")
    notebook.write("Approval above, USD", "1.50")
    check_names(notebook, "Each payment, USD", "Change limits")
    notebook.click("Change limits")
    notebook.sees("is in force")
    notebook.click("Practice faults")
    notebook.page.get_by_label("gpu_vendor_1: jobs fail").click()
    notebook.sees("On: gpu_vendor_1: jobs fail.")
    check_names(notebook, "gpu_vendor_3: loses the reply", "All off")


def check_names(notebook: Notebook, *expected: str) -> None:
    """Every control and picture on the screen has a name for screen readers, and every text its contrast."""
    assert check_screen(notebook.page) >= {*expected, "Your name", "Kill switch"}
