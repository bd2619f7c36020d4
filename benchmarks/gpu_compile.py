r"""Compile the programs for GPUs that need not be there, and check what the compiler made of them.

    python -m benchmarks.gpu_compile --quick     (four programs for an H100)
    python -m benchmarks.gpu_compile     (all, for an H100 and an RTX 4090; a quarter of an hour)

It fails on a host transfer, a loop or branch in which the host decides, float64, a product in
another precision than asked for, on more passes over the largest arrays than
benchmarks/results/gpu_compile.json lists, and on more kernels or bytes by 5 %. With --write the
list is replaced. Autotuned times, wrong numbers and races are not visible this way. `make
gpu-compile` installs the compiler first: jax-cuda12-plugin, jax-cuda12-pjrt and
nvidia-cuda-nvcc-cu12.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator, Sequence

import jax

from benchmarks.gpu.absent import Compiler, UnavailableError
from benchmarks.gpu.cards import CARDS
from benchmarks.gpu.checks import decisions, problems, products
from benchmarks.gpu.kernels import kernels_of
from benchmarks.gpu.programs import Wanted
from benchmarks.gpu.summary import summary_of, worse
from benchmarks.measuring import options, results_file

NAME, KEY = "gpu_compile", ("card", "model", "shape", "program", "precision")
SHAPES = ("rpe1", "k562", "adamson")
UNAVAILABLE = 3  # the exit status


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile, check, print; return 1 if anything is wrong, 3 if there is no compiler."""
    parser = options.parser_of(__doc__)
    options.add_results(parser)
    parser.add_argument("--card", choices=CARDS, nargs="+", default=list(CARDS))
    parser.add_argument("--only", default="", help="part of the names of programs to compile")
    parser.add_argument("--write", action="store_true", help="replace what is listed")
    args = options.parsed(parser, arguments)
    jax.config.update("jax_platforms", "cpu")
    try:
        compilers = {name: Compiler(CARDS[name]) for name in args.card}
    except UnavailableError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return UNAVAILABLE
    listed, wrong = results_file.read(args.results, NAME), 0
    for card, wanted in chosen(args.card, args.quick):
        if args.only not in f"{card} {wanted.label}":
            continue
        begun = time.perf_counter()
        compiled = compilers[card](*wanted.made())
        precision = wanted.precision
        entry = {"card": card, "model": wanted.model, "shape": wanted.shape,
                 "program": wanted.program, "precision": precision}  # fmt: skip
        kernels, loops = kernels_of(compiled.program)
        found = summary_of(compiled, kernels, loops, wanted, CARDS[card])
        found["tensor_core_kernels"] = products(compiled)
        errors = problems(compiled, precision)
        errors += decisions(loops, wanted.program)
        before = results_file.find(listed, **entry)
        if before and not args.write:
            errors += worse(found, before)
        wrong += bool(errors)
        total = sum(found["roofline_us"].values())
        print(
            f"{card} {wanted.label}: {found['kernels']} kernels, {found['megabytes']:,.0f} MB, "
            f"{found['gflop']:,.0f} GFLOP, {total:,.0f} us ({time.perf_counter() - begun:.0f} s)",
            flush=True,
        )
        for error in errors[:10]:
            print(f"  WRONG {error}", flush=True)
        if args.write:
            results_file.add(
                args.results or results_file.FOLDER, NAME, {**entry, **found}, KEY, quiet=True
            )
        del compiled
        gc.collect()
    print("nothing is wrong" if not wrong else f"{wrong} programs are not as they should be")
    return int(wrong > 0)


def chosen(cards: Sequence[str], quick: bool) -> Iterator[tuple[str, Wanted]]:
    """Yield the programs to compile for each card."""
    if quick:
        yield from ((cards[0], one) for one in QUICK)
        return
    for card in cards:
        yield from ((card, one) for one in ALL if card == "h100" or one.shape == "rpe1")


QUICK = (
    Wanted("published", "rpe1", "step", "tf32"),
    Wanted("accurate", "rpe1", "step", "tf32"),
    Wanted("published", "rpe1", "evaluation", "float32"),
    Wanted("published", "rpe1", "prediction", "float32"),
)
ALL = (
    *(
        Wanted(model, shape, "step", precision)
        for model in ("published", "accurate")
        for shape in SHAPES
        for precision in options.PRECISIONS
    ),
    *(Wanted(model, "rpe1", "epoch", "tf32") for model in ("published", "accurate")),
    *(Wanted("published", shape, "epoch", "tf32") for shape in SHAPES[1:]),
    *(
        Wanted(model, "rpe1", program, "float32")
        for model in ("published", "accurate")
        for program in ("evaluation", "prediction")
    ),
)


if __name__ == "__main__":
    sys.exit(main())
