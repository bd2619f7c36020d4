"""Print the matrix products that a step needs at each shape, and the machine's rate.

    python -m benchmarks.floor
    python -m benchmarks.floor --rate --device cuda

benchmarks/programs/floor.py says what is counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.inputs.shapes import SHAPES
from benchmarks.measuring import options
from benchmarks.models import accurate_spec
from benchmarks.programs import floor


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the products, and on request measure the rate."""
    parser = options.parser_of(__doc__)
    options.add_device(parser)
    parser.add_argument("--rate", action="store_true", help="measure the machine's rate")
    parser.add_argument("--small", action="store_true", help="by a tiny product")
    args = parser.parse_args(arguments)
    for shape in SHAPES.values():
        print(f"{shape.name}, {floor.n_parameters(shape):,} parameters\n")
        print(f"{floor.table(floor.products(shape))}\n")
        products = floor.products_of_accurate(accurate_spec(shape))
        print(f"{shape.name}, the accurate model\n\n{floor.table(products)}\n")
    if args.rate:
        print(json.dumps({"gflop_per_s": rate(args.device, args.precision, args.small)}))


def rate(device: str, precision: str, small: bool) -> dict[str, float]:
    """Return the GFLOP a second of each way to multiply, the best of three times ten products."""
    from benchmarks.programs.jax_program import use_device
    from benchmarks.programs.matrix_product import Rate

    use_device(device)
    product = Rate(device, precision, small)
    best = min((product.run(10) for _ in range(3)), key=lambda answer: answer["seconds"])
    return {name: 10 * product.flop / s / 1e9 for name, s in best["by"].items()}


if __name__ == "__main__":
    main()
