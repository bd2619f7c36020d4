"""Formulas as MathML, which browsers draw themselves: no script, nothing fetched."""

from __future__ import annotations

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

# docutils sets the index of an accented letter below it, the letters of `log p` without a gap, and
# `min` before a bracket as an operator with gaps around it.
_MENDED = (
    (
        r'<munderover>\s*(<mi[^>]*>[^<]*</mi>)\s*(.*?)\s*(<mo stretchy="false">[~^¯]</mo>)\s*'
        r"</munderover>",
        r"<msub><mover>\1\3</mover>\2</msub>",
    ),
    (r"(<mo>&ApplyFunction;</mo>)(\s*)(?=<mi)", r'\1<mspace width="0.17em"/>\2'),
    (r"<mo>(min|max)</mo>(\s*<m(?:o stretchy|row))", r"<mi>\1</mi>\2"),
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer that conf.py selects as `html_math_renderer`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mathml(tex: str, *, block: bool) -> str:
    """Return a formula as MathML (raises docutils' MathError)."""
    text = tex2mathml(tex, as_block=block)
    for wrong, right in _MENDED:
        text = re.sub(wrong, right, text, flags=re.S)
    return text


def _inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext(), block=False))
    raise nodes.SkipNode


def _block(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode
