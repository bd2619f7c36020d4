"""HTML that cannot be broken by its content: every text is escaped unless it is Markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_VOID = frozenset({"br", "col", "hr", "img", "meta"})


class Markup(str):
    """HTML that goes on the page as it is."""

    __slots__ = ()


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """Return one element with its content escaped.

    Args:
      tag: name of the element.
      content: text, Markup, None (left out), or lists of these.
      attributes: `class_` is class, `aria_label` is aria-label; None and False are left out.
    """
    text = "".join(f' {_name(key)}="{escape(str(value))}"' for key, value in _given(attributes))
    if tag in _VOID:
        return Markup(f"<{tag}{text}>")
    return Markup(f"<{tag}{text}>{joined(content)}</{tag}>")


def joined(content: Iterable[object]) -> Markup:
    """Return pieces in sequence; whatever is not Markup is escaped."""
    return Markup("".join(_flat(content)))


def table(
    caption: str,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    align: str = "",
    note: object = None,
) -> Markup:
    """Return a table that scrolls sideways within its own frame where it is too wide.

    Args:
      caption: above the table.
      header: of the columns.
      rows: one cell for each column.
      align: a letter for each column, l or r; by default the first l, the others r.
      note: below the table.
    """
    align = align or "l" + "r" * (len(header) - 1)
    sides = [{"class_": "num"} if side == "r" else {} for side in align]
    head = [
        element("th", cell, scope="col", **side) for cell, side in zip(header, sides, strict=True)
    ]
    body = [
        element(
            "tr",
            [
                element("th", cell, scope="row", **side) if i == 0 else element("td", cell, **side)
                for i, (cell, side) in enumerate(zip(row, sides, strict=True))
            ],
        )
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", head)),
        element("tbody", body),
    )
    frame = element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")
    return joined([frame, element("p", note, class_="note") if note else None])


def definitions(pairs: Iterable[tuple[object, object]], *, columns: bool = False) -> Markup:
    """Return terms with their meanings, one below the other or in columns of short pairs."""
    every = [[element("dt", term), element("dd", meaning)] for term, meaning in pairs]
    if not columns:
        return element("dl", every)
    return element("dl", [element("div", pair) for pair in every], class_="columns")


def folded(title: str, *content: object) -> Markup:
    """Return content that opens on request and is printed open."""
    return element("details", element("summary", title), *content)


def folded_on_phones(title: str, *content: object) -> Markup:
    """Return content that narrow screens hide until the reader opens it (style.css)."""
    opener = element("details", element("summary", title))
    return element("div", opener, element("div", *content), class_="folds")


def _given(attributes: dict[str, object]) -> list[tuple[str, object]]:
    return [(key, value) for key, value in attributes.items() if value not in (None, False)]


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _flat(content: Iterable[object]) -> Iterable[str]:
    for piece in content:
        if piece is None:
            continue
        if isinstance(piece, Markup):
            yield piece
        elif isinstance(piece, str | int | float):
            yield escape(str(piece))
        elif isinstance(piece, Iterable):
            yield from _flat(piece)
        else:
            raise TypeError(f"{type(piece).__name__} is no content of a page")
