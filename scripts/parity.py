"""Check recorded runs of the PyTorch original against this implementation.

    python scripts/parity.py tests/golden/*.npz

Prints one line a file and exits 0 only if every file is within the tolerances of
gpo_vae_jax/parity.py.
"""

from __future__ import annotations

import argparse
import sys

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.parity import check


def main() -> int:
    """Check the files named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE.npz")
    files = parser.parse_args().files
    width = max(len(name.rsplit("/", 1)[-1]) for name in files)
    print(f"{'file':{width}}  {'loss':>8}  {'worst':>8}  ok    worst at")
    failures = 0
    for name in files:
        short = name.rsplit("/", 1)[-1]
        try:
            result = check(name)
        except DataError as error:
            print(f"{short:{width}}  {error}")
            failures += 1
            continue
        failures += not result.passed
        verdict = "ok  " if result.passed else "FAIL"
        note = f" ({result.note})" if result.note else ""
        print(
            f"{short:{width}}  {result.loss_error:8.1e}  {result.worst_error:8.1e}  {verdict}  "
            f"{result.worst_name}{note}"
        )
    print(f"{len(files) - failures} of {len(files)} files agree")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
