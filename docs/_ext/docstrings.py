"""Docstrings of the package, written to be read in an editor, made ready for autodoc.

Backticks mean code, indented blocks are code, and asterisks and bars mean themselves. Fields of
dataclasses and named tuples are documented by the comment on their line; here they become a list.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
import tokenize
from collections.abc import Iterator
from io import StringIO
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Listen to autodoc, before napoleon does."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process, priority=400)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
    return {"parallel_read_safe": True}


def fields(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, annotation, default and comment of every field of a class."""
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {}
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = token.string.lstrip("#: ").strip()
    (body,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for node in body.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        last = node.end_lineno or node.lineno
        said = [comments.pop(at) for at in range(node.lineno, last + 1) if at in comments]
        lines = source.splitlines()
        while last < len(lines) and lines[last].strip().startswith("#"):
            said.append(comments.pop(last + 1))
            last += 1
        default = "" if node.value is None else ast.unparse(node.value)
        yield node.target.id, ast.unparse(node.annotation), default, " ".join(said)


def _has_fields(thing: Any) -> bool:
    named_tuple = isinstance(thing, type) and issubclass(thing, tuple) and hasattr(thing, "_fields")
    return isinstance(thing, type) and (dataclasses.is_dataclass(thing) or named_tuple)


def _process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    ready = list(_as_rst(lines))
    if what == "property" and ready:
        ready[0] = f": {ready[0]}"  # or napoleon takes what precedes a colon for a type
    if what == "class" and _has_fields(thing):
        ready += ["", "**Fields**", ""]
        for field, annotation, default, comment in fields(thing):
            kind = annotation + (f" = {default}" if default else "")
            ready.append(
                f"- **{field}** ``{kind}``" + (f": {_escaped(comment)}" if comment else "")
            )
        ready.append("")
    lines[:] = ready


def _signature(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """Leave out the arguments of a class that has fields: they are the fields."""
    return ("", "") if what == "class" and _has_fields(thing) else None


def _skip(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what named tuples inherit: their fields are described with the class."""
    return True if type(thing).__name__ == "_tuplegetter" else None


def _as_rst(lines: list[str]) -> Iterator[str]:
    in_code, in_section, blank, returned = False, False, True, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent == 0:
            in_section = bool(re.fullmatch(r"(Args|Returns|Raises|Yields):", line.strip()))
        if line.strip():
            starts = blank and indent >= 4 and not in_section
            if starts and not in_code:
                yield ".. code-block:: text"
                yield ""
            in_code = starts or (in_code and indent >= 4)
        blank = not line.strip()
        if returned:  # a colon in what is returned does not end a type: types are annotated
            line = line[:indent] + ": " + line[indent:]
        returned = line.strip() == "Returns:"
        yield line if in_code else _escaped(line)


def _escaped(line: str) -> str:
    """Make single backticks code, and every other character that means something itself."""
    parts = re.split(r"(`+[^`]+`+)", line)
    for i, part in enumerate(parts):
        if i % 2:
            touches = re.match(r"\w", parts[i + 1]) is not None
            parts[i] = "``" + part.strip("`") + "``" + ("\\ " if touches else "")
        else:
            parts[i] = re.sub(r"([*|\\])", r"\\\1", re.sub(r"(\w)_(?=\W|$)", r"\1\\_", part))
    text = "".join(parts)
    return re.sub(r"(?<=: )([A-Z]\.)", r"\\\1", text)  # "P." begins no enumeration
