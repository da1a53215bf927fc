"""Form fields: a labelled widget, and beside it what is wrong with its value."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import ipywidgets as w

from gpuagent.errors import BadInput
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import styled

T = TypeVar("T")
LABEL, INPUT = "96px", "330px"


class Field(Generic[T]):
    """A widget with a note. check: reads the widget's value, or raises BadInput with what to write instead."""

    def __init__(self, widget: Any, check: Callable[[Any], T], changed: Callable[[], None] = lambda: None) -> None:
        self.widget, self._check = widget, check
        self._note = w.HTML(layout=w.Layout(flex="1 1 180px", min_width="0"))
        self.box = w.HBox([widget, self._note], layout=w.Layout(align_items="center", flex_flow="row wrap"))

        def on_change(_: object) -> None:
            self.problem()
            changed()

        widget.observe(on_change, "value")

    @property
    def note(self) -> str:
        """The text beside the field, as HTML."""
        return str(self._note.value)

    def read(self) -> T:
        """The checked value. Raises BadInput, after showing it beside the field."""
        try:
            value = self._check(self.widget.value)
        except BadInput as error:
            self.show_problem(str(error))
            raise
        self._note.value = ""
        return value

    def problem(self) -> str:
        """What is wrong, shown beside the field; "" when nothing is."""
        try:
            self.read()
        except BadInput as error:
            return str(error)
        return ""

    def show_problem(self, problem: str) -> None:
        self._note.value = styled(el("span", problem, class_="bad", role="alert"))


def problems(fields: Iterable[Field[Any]]) -> list[str]:
    """What is wrong with any of the fields, each shown beside its own."""
    return [problem for field in fields if (problem := field.problem())]


def text_input(label: str, value: str = "", hint: str = "", width: str = INPUT, label_width: str = LABEL) -> Any:
    style, layout = {"description_width": label_width}, w.Layout(width=width)
    return w.Text(description=label, value=value, placeholder=hint, style=style, layout=layout)


def text_area(label: str, hint: str, width: str, height: str, label_width: str = LABEL) -> Any:
    style, layout = {"description_width": label_width}, w.Layout(width=width, height=height)
    return w.Textarea(description=label, placeholder=hint, style=style, layout=layout)


def dropdown(label: str, options: Sequence[Any], width: str = INPUT, label_width: str = LABEL) -> Any:
    style, layout = {"description_width": label_width}, w.Layout(width=width)
    return w.Dropdown(description=label, options=options, style=style, layout=layout)


def button(label: str, act: Callable[[], None], style: str = "", tip: str = "") -> Any:
    widget = w.Button(description=label, button_style=style, tooltip=tip or label)
    widget.on_click(lambda _: act())
    return widget


def row(*children: Any) -> Any:
    return w.HBox(children, layout=w.Layout(flex_flow="row wrap", align_items="center", grid_gap="6px"))


def stacked(*children: Any) -> Any:
    return w.VBox(children)


def card(*children: Any) -> Any:
    box = w.VBox(children, layout=w.Layout(margin="4px 0 8px", grid_gap="2px"))
    box.add_class("ga-card")
    return box


def required_text(request: str, longest: int) -> Callable[[str], str]:
    """A check for a line that must not be empty. request: what to write, such as "say why"."""

    def check(value: str) -> str:
        if not 0 < len(value.strip()) <= longest or not value.strip().isprintable():
            raise BadInput(f"{request}, in 1 to {longest} characters")
        return value.strip()

    return check
