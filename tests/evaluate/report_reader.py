"""Read a page of the report, strictly."""

import re
from html.parser import HTMLParser

from gpo_vae_jax.evaluate.report.page import document, report_sections

SECTIONS = [
    *("overview", "metrics", "training", "effects", "network", "agreement", "quality", "method"),
]


class Page(HTMLParser):
    """Read a page: tags must close in order; texts, attributes and ids are kept."""

    void = frozenset({"meta", "br", "hr", "img"})

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.ids, self.references, self.text = [], [], [], [], []
        self.names = []
        self.parents = {}  # tag -> the elements it lies in, as "div.scroll"
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        self.words = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attributes):
        self._keep(tag, attributes)
        if tag not in self.void:
            self.parents.setdefault(tag, set()).add(self.names[-1] if self.open else "")
            self.open.append(tag)
            self.names.append(f"{tag}.{dict(attributes).get('class', '')}")

    def handle_startendtag(self, tag, attributes):
        self._keep(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()
        self.names.pop()

    def handle_data(self, text):
        if "style" not in self.open:
            self.text.append(text)

    def _keep(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        for key, value in found.items():
            if key in ("href", "src", "srcset", "data", "action", "xlink:href"):
                self.references.append(value)
            self.references += re.findall(r"url\(([^)]*)\)", value or "")


def page_of(evaluation) -> Page:
    """Return the page of an evaluation, without writing files."""
    return Page(document(evaluation, report_sections(evaluation)))
