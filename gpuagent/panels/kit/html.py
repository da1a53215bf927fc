"""HTML by function calls: whatever is not markup already is escaped, so that no vendor's text can become markup."""

from html import escape


class Html(str):
    """Markup that needs no escaping."""

    __slots__ = ()


def el(tag: str, *children: object, **attributes: object) -> Html:
    """One element. Attributes: class_ for class, underscores for hyphens; those that are None or False are left out."""
    markup = "".join(
        _attribute(name, value) for name, value in attributes.items() if value is not None and value is not False
    )
    return Html(f"<{tag}{markup}>{join(*children)}</{tag}>")


def join(*children: object) -> Html:
    """The children one after the other, escaped where they are not Html."""
    return Html("".join(child if isinstance(child, Html) else escape(str(child)) for child in children))


def table(head: tuple[str, ...], rows: list[list[object]], label: str) -> Html:
    """A table with its column heads; label: for screen readers.

    Where it is too wide it scrolls sideways; on a phone, a row of more than two cells is a list with the heads in it.
    """
    heads = el("tr", *(el("th", name, scope="col") for name in head))
    body = (el("tr", *(el("td", cell, data_head=name) for name, cell in zip(head, row, strict=True))) for row in rows)
    stacks = "stacks" if len(head) > 2 else None
    return el(
        "div", el("table", el("thead", heads), el("tbody", *body), aria_label=label, class_=stacks), class_="wide"
    )


def _attribute(name: str, value: object) -> str:
    key = name.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{escape(str(value))}"'
