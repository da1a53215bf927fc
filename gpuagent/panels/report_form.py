"""The parameters of a report as a form: the report is shown below it, and saved by links that hold the file."""

import base64
import shlex
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from gpuagent import settings as environment
from gpuagent import wiring
from gpuagent.core.units import show_size
from gpuagent.errors import BadInput
from gpuagent.panels.file_copies import LINK_MAX
from gpuagent.panels.kit.fields import Field, button, card, dropdown, row, text_input
from gpuagent.panels.kit.html import Html, el, join
from gpuagent.panels.kit.keys import show_panel
from gpuagent.panels.kit.message import StatusLine, html_widget
from gpuagent.panels.kit.style import sheet
from gpuagent.panels.kit.tasks import ExclusiveTask, Tasks
from gpuagent.reports import exports, sections
from gpuagent.reports.display import parse_display
from gpuagent.reports.exports.files import FILE_NAMES, FILES
from gpuagent.reports.figures import groups
from gpuagent.reports.period import FORMS, parse_period
from gpuagent.reports.report import Report, open_report
from gpuagent.reports.request import ReportRequest
from gpuagent.reports.tables import STYLE

if TYPE_CHECKING:
    from gpuagent.settings import Settings

OF_PAGE = ("currency", "rate", "server", "by")
"""Fields of a request that nothing but the page shows."""
LABELS = {"html": "Get the page", "focus": "Get FOCUS", "journal": "Get the journal"}


class ReportForm:
    """The form, to be made in a cell. report: the one that is shown, None at first."""

    def __init__(self, request: ReportRequest, settings: "Settings | None" = None) -> None:
        """request: what the fields say at first. settings: the environment's where they are not given."""
        self._settings = settings or environment.read()
        self.report: Report | None = None
        self.message = StatusLine()
        self._tasks = Tasks()
        self._task = ExclusiveTask(self._tasks, self.message, self._draw)
        self.fields = _fields(request)
        self.show_button = button("Show report", self._show, "primary", "Read the database and draw every section")
        self.file_buttons = {
            form: button(LABELS[form], partial(self._get, form), tip=f"A link that saves {FILE_NAMES[form]}")
            for form in FILES
        }
        self.pages = html_widget()
        self.widget = w.VBox(
            [
                w.HTML(value=sheet(), layout=w.Layout(display="none")),
                card(
                    *(field.box for field in self.fields.values()),
                    row(self.show_button, *self.file_buttons.values()),
                    self.message.widget,
                ),
                self.pages,
            ]
        )
        self.widget.add_class("ga-panel")

    def read(self) -> ReportRequest:
        """The request in the form. Raises BadInput, which is shown beside the field."""
        values = {name: field.read() for name, field in self.fields.items()}
        try:
            parse_display(values["currency"], values["rate"])
        except BadInput as error:
            self.fields["rate"].show_problem(str(error))
            raise
        return ReportRequest(**values)

    async def settled(self) -> None:
        """Returns once nothing that a button began is under way."""
        await self._tasks.settled()

    def _show(self) -> None:
        self._with_request("Reading", lambda request: _drawn(open_report(request, self._settings)), self._shown)

    def _shown(self, drawn: tuple[Report, Html]) -> None:
        self.report, self.pages.value = drawn
        self.message.say(f"{self.report.period.description}, read {self.report.made_at:%Y-%m-%d %H:%M} UTC.")

    def _get(self, form: str) -> None:
        def link(request: ReportRequest) -> Html:
            return _link(open_report(request, self._settings), form)

        self._with_request(f"Writing {FILE_NAMES[form]}", link, self.message.say)

    def _with_request(self, activity: str, work: Callable[[ReportRequest], Any], finish: Callable[[Any], None]) -> None:
        try:
            request = self.read()
        except BadInput as error:
            self.message.error(str(error))
        else:
            self._task.run(activity, lambda: work(request), finish)

    def _draw(self) -> None:
        for control in (self.show_button, *self.file_buttons.values()):
            control.disabled = self._task.busy

    def _ipython_display_(self) -> None:
        show_panel(self.widget._repr_mimebundle_())


def _drawn(report: Report) -> tuple[Report, Html]:
    return report, Html(STYLE + "".join(section(report).html() for section in sections.ALL))


def _link(report: Report, form: str) -> Html:
    """A link that saves one of FILES. Raises BadInput for one that is too large."""
    name, parts, size = FILE_NAMES[form], [], 0
    for piece in exports.pieces(report, form):
        parts.append(piece.encode())
        size += len(parts[-1])
        if size > LINK_MAX:
            raise BadInput(
                f"{name} has more than {show_size(LINK_MAX)}, which a link cannot carry: "
                f"`{_command(report.request, form)} --format {form} --out {name}` writes it"
            )
    content = base64.b64encode(b"".join(parts)).decode()
    link = el("a", f"Save {name}", href=f"data:application/octet-stream;base64,{content}", download=name)
    return join(link, f", {show_size(size)}")


def _command(request: ReportRequest, form: str) -> str:
    """The command that makes the same file: all that was asked for, and of what only the page shows nothing else."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    options = [
        f" --{name} {shlex.quote(value)}"
        for name, value in values.items()
        if name == "period" or (value != getattr(ReportRequest(), name) and (form == "html" or name not in OF_PAGE))
    ]
    return f"gpuagent report{''.join(options)}"


def _fields(request: ReportRequest) -> dict[str, Field[str]]:
    def period(value: str) -> str:
        parse_period(value.strip(), datetime.fromtimestamp(wiring.system_clock().now(), UTC))
        return value.strip()

    hints = {"user": "all", "tag": "all", "vendor": "all", "currency": "beside USD, such as EUR", "rate": "0.92"}
    return {
        "period": Field(text_input("Period", request.period, FORMS), period),
        **{
            name: Field(text_input(name.capitalize(), getattr(request, name), hint), str.strip)
            for name, hint in hints.items()
        },
        "by": Field(_choice("Spend by", groups.NOUNS, request.by), str),
    }


def _choice(label: str, names: Mapping[str, str], value: str) -> Any:
    widget = dropdown(label, [(text, name) for name, text in names.items()])
    widget.value = value
    return widget
