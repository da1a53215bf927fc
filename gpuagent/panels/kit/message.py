"""What became of the last click, in words, beside what was clicked."""

import ipywidgets as w

from gpuagent.panels.kit.html import Html, el


class Message:
    """widget: where it is seen; screen readers are told what changes in it."""

    def __init__(self) -> None:
        self.widget = w.HTML(layout=w.Layout(width="100%"))

    @property
    def text(self) -> str:
        return str(self.widget.value)

    def clear(self) -> None:
        self.widget.value = ""

    def say(self, words: object) -> None:
        self._show(words, "note", "status")

    def busy(self, words: str) -> None:
        self._show(f"{words} …", "note faint", "status")

    def error(self, words: str) -> None:
        self._show(words, "note bad", "alert")

    def _show(self, words: object, look: str, role: str) -> None:
        self.widget.value = el("div", el("div", words, class_=look, role=role), class_="ga")


def html(content: Html | str = "") -> w.HTML:
    """A widget that shows markup, in the panels' style."""
    return w.HTML(value=shown(content), layout=w.Layout(width="100%"))


def shown(content: Html | str) -> Html:
    return el("div", content, class_="ga")
