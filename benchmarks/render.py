"""Write benchmarks/README.md and its plots from benchmarks/results/*.json; measures nothing.

    python -m benchmarks.render
    python -m benchmarks.render --results FOLDER --output FOLDER

The same results give the same files. Missing results are named as not measured yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring import options, results_file
from benchmarks.rendering import page


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the results, draw the plots, write the page."""
    parser = options.parser_of(__doc__)
    parser.add_argument("--results", type=Path, default=results_file.FOLDER)
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent)
    args = parser.parse_args(arguments)
    found = {name: results_file.read(args.results, name) for name in page.FILES}
    plots = page.draw(found, args.output / "plots")
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "README.md").write_text(page.text(found, plots))
    print(f"wrote {args.output / 'README.md'} and {len(plots)} plots")


if __name__ == "__main__":
    main()
