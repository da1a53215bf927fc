"""A notebook's parameters, parsed from texts by their declared types; an unknown one is refused.

papermill itself guesses: it makes 12345678 an int and 1e234567 infinity, and an unknown name is only a line in its log.
It also overlooks what stands in several lines, holds a second `=`, or is annotated with `|`: the cell is parsed here.
"""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

from gpuagent.errors import BadInput
from gpuagent.schedule.typed_text import Value, describe, read_text, type_named

EXPRESSION = "an expression"
"""The type of a parameter that is not annotated, and whose default is no literal."""


def parameter_types(notebook: Path) -> Mapping[str, str]:
    """The notebook's parameters and their types as Python writes them, by annotation or else by default value.

    `None` stands for a default of None, EXPRESSION for what only the notebook's kernel knows. Raises BadInput where the
    notebook cannot be read.
    """
    from papermill.iorw import load_notebook_node
    from papermill.utils import find_first_tagged_cell_index

    try:
        node = load_notebook_node(str(notebook))
    except OSError as error:
        raise BadInput(f"{notebook} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a file that is no notebook raises many kinds of errors in nbformat
        raise BadInput(f"{notebook} is no notebook that papermill can run: {str(error)[:200]}") from error
    place = find_first_tagged_cell_index(node, "parameters")
    source = node.cells[place].source if place >= 0 else ""
    try:
        tree = ast.parse(_python(source), type_comments=True)
    except SyntaxError as error:
        raise BadInput(f"the parameters of {notebook} cannot be read: line {error.lineno}: {error.msg}") from error
    return dict(declaration for statement in tree.body for declaration in _declarations(statement))


def parse_parameters(types: Mapping[str, str], texts: Iterable[tuple[str, str]]) -> dict[str, Value]:
    """The values of these names and texts. Raises BadInput."""
    values: dict[str, Value] = {}
    for name, text in texts:
        if name not in types:
            raise BadInput(f"no parameter {name!r}; there are: {', '.join(types) or 'none'}")
        if name in values:
            raise BadInput(f"parameter {name} is given twice")
        values[name] = _value(name, types[name], text)
    return values


def _python(source: str) -> str:
    """A cell's source without the magics and shell commands that only IPython knows."""
    from IPython.core.inputtransformer2 import TransformerManager

    text: str = TransformerManager().transform_cell(source)  # type: ignore[no-untyped-call]
    return text


def _declarations(statement: ast.stmt) -> list[tuple[str, str]]:
    """The parameters that a statement assigns, each with its type."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=ast.expr()):
            text = annotation.value if isinstance(annotation, ast.Constant) else None
            return [(name, text if isinstance(text, str) else ast.unparse(annotation))]
        case ast.Assign(targets=targets, value=default, type_comment=comment):
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            return [(name, comment or _type_of_default(default)) for name in names]
    return []


def _type_of_default(default: ast.expr) -> str:
    try:
        value = ast.literal_eval(default)
    except (ValueError, SyntaxError, TypeError):
        return EXPRESSION
    return "None" if value is None else type(value).__name__


def _value(name: str, type_text: str, text: str) -> Value:
    try:
        kind = type_named(type_text)
    except LookupError:
        raise BadInput(
            f"parameter {name} is {type_text}, which a schedule cannot give: annotate it in the notebook "
            "as str, int, float, bool, list, dict, or one of these `| None`"
        ) from None
    try:
        return read_text(kind, text)
    except ValueError:
        raise BadInput(f"parameter {name} is to be {describe(kind, type_text)}, not {text[:80]!r}") from None
