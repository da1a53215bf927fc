"""Status lines: the result of the last click, beside the button."""

import ipywidgets as w

from gpuagent.panels.kit.html import Html, el


class StatusLine:
    """One line of text with a role that screen readers announce. widget: where it is shown."""

    def __init__(self) -> None:
        self.widget = w.HTML(layout=w.Layout(width="100%"))

    @property
    def text(self) -> str:
        return str(self.widget.value)

    def clear(self) -> None:
        self.widget.value = ""

    def say(self, content: object) -> None:
        self._show(content, "note", "status")

    def busy(self, activity: str) -> None:
        self._show(f"{activity} …", "note faint", "status")

    def error(self, problem: str) -> None:
        self._show(problem, "note bad", "alert")

    def _show(self, content: object, classes: str, role: str) -> None:
        self.widget.value = el("div", el("div", content, class_=classes, role=role), class_="ga")


def html_widget(content: Html | str = "") -> w.HTML:
    """A widget that shows markup, in the panels' style."""
    return w.HTML(value=styled(content), layout=w.Layout(width="100%"))


def styled(content: Html | str) -> Html:
    """The content inside the element that the style sheet applies to."""
    return el("div", content, class_="ga")
