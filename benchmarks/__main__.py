"""List the benchmarks: `python -m benchmarks`, from the root of the clone."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def commands() -> dict[str, str]:
    """Return the first line of each command's docstring, by the command's name."""
    files = (path for path in sorted(FOLDER.glob("*.py")) if not path.stem.startswith("__"))
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
        for path in files
    }


def main() -> None:
    """Print how to run a benchmark, and what each one does."""
    found = commands()
    width = max(map(len, found))
    print("python -m benchmarks.NAME [--quick] [--help], with NAME one of:\n")
    for name, summary in found.items():
        print(f"  {name:{width}}  {summary}")


if __name__ == "__main__":
    main()
