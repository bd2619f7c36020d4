"""Links from a guide to a file outside docs/: on the site they lead to the repository.

In the clone, and on its web page, `[text](../benchmarks/README.md)` is a path. The site has no such
page, so the link goes to the repository that pyproject.toml names, or becomes plain text.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)\s]+)\)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Rewrite every page as it is read."""
    project = tomllib.loads((Path(app.confdir).parent / "pyproject.toml").read_text())["project"]
    urls = {name.lower(): url for name, url in project.get("urls", {}).items()}
    repository = urls.get("repository") or urls.get("source") or urls.get("homepage", "")

    def rewrite(app: Sphinx, name: str, source: list[str]) -> None:
        root = f"{repository.rstrip('/')}/blob/main/"
        replacement = rf"[\1]({root}\2)" if repository else r"\1"
        source[0] = _OUTSIDE.sub(replacement, source[0])

    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True}
