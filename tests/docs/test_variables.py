"""Every environment variable that the docs name is read by the code, and every one that it reads is documented."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, ROOT, blocks, name, spans

CONFIGURATION = ROOT / "docs/reference/configuration.md"
SOURCES = ("gpuagent", "mock_vendor", "seller", "api")
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
WORD = re.compile(r"[A-Z][A-Z0-9]+")
READERS = ("get", "getenv", "setdefault", "text", "number", "price")
"""Methods whose first argument may be a variable of one word, such as PORT."""
MAPPINGS = ("environ", "environment", "env")
NOT_VARIABLES = {
    "RUN_ID": "the id of a run",
    "RUN_IDS": "ids of runs",
    "JOB_ID": "the id of a job",
    "JUPYTER_OPTIONS": "what stands behind --",
    "DOMAIN_SEPARATOR": "what a token answers",
    "GRACE_S": "a constant",
    "SC_PAGE_SIZE": "what a system is asked for",
    "CHAIN_NAMES": "a constant",
    "LD_PRELOAD": "what a job may not have in its sandbox",
    "OPENBLAS_NUM_THREADS": "what a seller gives to jobs",
    "HF_TOKEN": "an example of a job's secret",
    "JOB_PACKAGES": "an argument of an image's build",
}
PROVIDER_KEY = re.compile(r"[A-Z0-9]+_API_KEY")
"""Of a model's provider; the code makes the name of the provider's."""


def variables_in(source: str) -> set[str]:
    """The variables that a module reads or sets."""
    tree = ast.parse(source)
    documentation = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation
    }
    return {text for text in texts if VARIABLE.fullmatch(text)} | set(_of_one_word(tree))


def _of_one_word(tree: ast.AST) -> Iterator[str]:
    """Where a variable is read by its name, or stands in a row with others."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=method), args=[ast.Constant(value=str(text)), *_]):
                if method in READERS and WORD.fullmatch(text):
                    yield text
            case ast.Subscript(
                value=ast.Name(id=mapping) | ast.Attribute(attr=mapping), slice=ast.Constant(value=text)
            ):
                if mapping in MAPPINGS and isinstance(text, str) and WORD.fullmatch(text):
                    yield text
            case ast.Tuple(elts=elements):
                texts = [element.value for element in elements if isinstance(element, ast.Constant)]
                if any(VARIABLE.fullmatch(str(text)) for text in texts):
                    yield from (str(text) for text in texts if WORD.fullmatch(str(text)))


@cache
def read_by_the_code() -> frozenset[str]:
    return frozenset().union(
        *(variables_in(path.read_text()) for folder in SOURCES for path in (ROOT / folder).rglob("*.py"))
    )


def named_in(path: Path) -> set[str]:
    """The variables that a document names, in its code and its examples; Python has constants of that form."""
    text = path.read_text()
    code = [*spans(text), *(block.text for block in blocks(text) if block.language not in ("python", "diff"))]
    return {variable for part in code for variable in re.findall(rf"(?<![\w$-]){VARIABLE.pattern}(?![\w-])", part)}


def secret_names() -> set[str]:
    """The names that examples of a vendor's record give to the variable of its token."""
    return {secret for path in DOCUMENTS for secret in re.findall(r'"secretEnv": "(\w+)"', path.read_text())}


def documented() -> set[str]:
    """The variables in the first column of the tables, and those that the page says are set."""
    text = CONFIGURATION.read_text()
    rows = "\n".join(re.findall(r"^\| (`[^|]+) \|", text, re.M))
    return set(re.findall(r"`([A-Z][A-Z0-9_]+)`", rows)) | (named_in(CONFIGURATION) - set(NOT_VARIABLES))


def test_every_variable_that_the_code_reads_is_in_the_reference() -> None:
    assert len(read_by_the_code()) > 40
    assert read_by_the_code() - documented() - set(NOT_VARIABLES) == set()


def test_every_variable_in_the_reference_is_read() -> None:
    unread = documented() - read_by_the_code()
    assert {variable for variable in unread if not PROVIDER_KEY.fullmatch(variable)} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_variable_that_a_document_names_is_read(path: Path) -> None:
    allowed = read_by_the_code() | secret_names() | set(NOT_VARIABLES)
    unread = {variable for variable in named_in(path) - allowed if not PROVIDER_KEY.fullmatch(variable)}
    assert unread == set()


def test_the_code_makes_the_names_of_providers_keys() -> None:
    models = (ROOT / "gpuagent/adapters/planners/llm/models.py").read_text()
    assert "_API_KEY" in "".join(
        str(part.value)
        for node in ast.walk(ast.parse(models))
        if isinstance(node, ast.JoinedStr)
        for part in node.values
        if isinstance(part, ast.Constant)
    )


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ('environ.get("NEW_THING")', {"NEW_THING"}),
        ('SECRET = "NEW_THING"', {"NEW_THING"}),
        ('os.environ["HOME"]', {"HOME"}),
        ('read.number("PORT", "4001")', {"PORT"}),
        ('PLATFORMS = ("VERCEL", "K_SERVICE")', {"VERCEL", "K_SERVICE"}),
        ('"""Reads NEW_THING."""\nx.get("lower")\ny["GPU"]', set()),
    ],
)
def test_a_variable_is_found_however_it_is_read(source: str, variables: set[str]) -> None:
    assert variables_in(source) == variables
