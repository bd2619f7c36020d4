r"""Print the GPUs that jax finds, or exit with 1 and say what is missing; measures nothing.

python -m benchmarks.gpu_there
"""

from __future__ import annotations

import jax

from benchmarks.programs.jax_program import use_device


def main() -> None:
    """Find them."""
    use_device("cuda")
    print(f"jax {jax.__version__}: {', '.join(map(str, jax.devices()))}")


if __name__ == "__main__":
    main()
