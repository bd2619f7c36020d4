"""Build the documentation as one static site: guides, API reference, executed notebooks.

    python scripts/build_docs.py

Writes docs/_build/html/index.html. A broken link, an unknown reference or a notebook that fails
ends the build. Notebooks are run again only where their text has changed; --fresh runs them all.
Needs the extra `docs`: pip install -e '.[docs]' -c constraints/current.txt
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> int:
    """Build, and print where the first page is."""
    parser = argparse.ArgumentParser(description="Build the documentation into docs/_build.")
    parser.add_argument("--fresh", action="store_true", help="forget earlier builds")
    arguments = parser.parse_args()
    try:
        from sphinx.cmd.build import build_main
    except ImportError:
        print(
            "The documentation needs the extra `docs`: "
            "pip install -e '.[docs]' -c constraints/current.txt",
            file=sys.stderr,
        )
        return 1
    build = DOCS / "_build"
    if arguments.fresh:
        shutil.rmtree(build, ignore_errors=True)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    pages = build / "html"
    options = ["-b", "html", "-W", "--keep-going", "-q", "-d", str(build / "doctrees")]
    code = build_main([*options, str(DOCS), str(pages)])
    if code == 0:
        print(pages / "index.html")
    return code


if __name__ == "__main__":
    sys.exit(main())
