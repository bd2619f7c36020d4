"""Train on the arrays of a recorded run of the PyTorch original; print both side by side.

    python -m benchmarks.reference_run FOLDER --seeds 0 1 2

benchmarks/inputs/reference.py says what FOLDER holds. A seed takes about four minutes on two idle
cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.inputs import reference
from benchmarks.measuring import options
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo_of_split
from gpo_vae_jax.train.training import train


def main(arguments: Sequence[str] | None = None) -> None:
    """Train each seed, and print it beside the recorded runs."""
    parser = options.parser_of(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args(arguments)
    dataset = reference.dataset(args.folder)
    print(f"{'':10}{'seed':>5}{'best validation loss':>22}{'predictive IWELBO':>20}")
    for run in reference.recorded_runs(args.folder):
        print(f"{'original':10}{run['seed']:5}{run['best_val']:22.4f}{run['iwelbo']:20.4f}")
    for seed in args.seeds:
        trained = train(dataset, reference.CONFIG, seeds=seed)
        score = predictive_iwelbo_of_split(
            trained.params, dataset.splits["test"], spec=trained.spec, seed=seed
        )
        best = trained.best.best_loss
        print(f"{'ours':10}{seed:5}{best:22.4f}{score.mean():20.4f}", flush=True)


if __name__ == "__main__":
    main()
