"""A form's field: a labelled widget, and beside it what is wrong with what stands in it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import ipywidgets as w

from gpuagent.errors import BadInput
from gpuagent.panels.kit.html import el
from gpuagent.panels.kit.message import shown

T = TypeVar("T")
LABEL, INPUT = "96px", "330px"


class Field(Generic[T]):
    """check: what the widget's value stands for; raises BadInput with what to write instead."""

    def __init__(self, widget: Any, check: Callable[[Any], T], changed: Callable[[], None] = lambda: None) -> None:
        self.widget, self._check = widget, check
        self._note = w.HTML(layout=w.Layout(flex="1 1 180px", min_width="0"))
        self.box = w.HBox([widget, self._note], layout=w.Layout(align_items="center", flex_flow="row wrap"))

        def look(_: object) -> None:
            self.problem()
            changed()

        widget.observe(look, "value")

    @property
    def note(self) -> str:
        """What stands beside the field, as HTML."""
        return str(self._note.value)

    def read(self) -> T:
        """Raises BadInput, after saying it beside the field."""
        try:
            value = self._check(self.widget.value)
        except BadInput as error:
            self._note.value = shown(el("span", str(error), class_="bad", role="alert"))
            raise
        self._note.value = ""
        return value

    def problem(self) -> str:
        """What is wrong, said beside the field; "" when nothing is."""
        try:
            self.read()
        except BadInput as error:
            return str(error)
        return ""

    def blame(self, words: str) -> None:
        self._note.value = shown(el("span", words, class_="bad", role="alert"))


def problems(fields: Iterable[Field[Any]]) -> list[str]:
    """What is wrong with any of them, each said beside its own."""
    return [problem for field in fields if (problem := field.problem())]


def text(label: str, value: str = "", hint: str = "", width: str = INPUT, label_width: str = LABEL) -> Any:
    style, layout = {"description_width": label_width}, w.Layout(width=width)
    return w.Text(description=label, value=value, placeholder=hint, style=style, layout=layout)


def choice(label: str, options: Sequence[Any], width: str = INPUT, label_width: str = LABEL) -> Any:
    style, layout = {"description_width": label_width}, w.Layout(width=width)
    return w.Dropdown(description=label, options=options, style=style, layout=layout)


def button(words: str, act: Callable[[], None], style: str = "", tip: str = "") -> Any:
    made = w.Button(description=words, button_style=style, tooltip=tip or words)
    made.on_click(lambda _: act())
    return made


def row(*children: Any) -> Any:
    return w.HBox(children, layout=w.Layout(flex_flow="row wrap", align_items="center", grid_gap="6px"))


def card(*children: Any) -> Any:
    made = w.VBox(children, layout=w.Layout(margin="4px 0 8px", grid_gap="2px"))
    made.add_class("ga-card")
    return made


def written(what: str, longest: int) -> Callable[[str], str]:
    """A check for a line that must not be empty."""

    def check(value: str) -> str:
        if not 0 < len(value.strip()) <= longest or not value.strip().isprintable():
            raise BadInput(f"{what}, in 1 to {longest} characters")
        return value.strip()

    return check
