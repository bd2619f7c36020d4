"""Evaluation of a run folder, with its results written beside the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpo_vae_jax import progress as progress_of
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.evaluate.evaluation import evaluate
from gpo_vae_jax.evaluate.files_out import write_files
from gpo_vae_jax.evaluate.knowledge import read_networks
from gpo_vae_jax.evaluate.report import write_report
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.runs.saved import load_with_data

_DEFAULT = EvaluateConfig()


def evaluate_run(
    workdir: str | Path,
    settings: EvaluateConfig = _DEFAULT,
    *,
    networks: Sequence[str] = (),
    data_path: str = "",
    output: str | Path = "",
    progress: bool = True,
) -> tuple[Evaluation, list[Path]]:
    """Evaluate a run and write what was found into its folder, or into `output`.

    Args:
      workdir: the run folder.
      settings: of the evaluation.
      networks: known networks, NAME=FILE or NAME=FORMAT:FILE (docs/evaluation.md).
      data_path: the prepared file, if it was moved.
      output: another folder for the results.
      progress: whether stages and bars are shown on standard error.

    Returns:
      What was found, and the paths of the files; the report is the last.

    Raises:
      TrainingError: the folder holds no finished checkpoint.
      DataError: the data or a known network cannot be read.
      ConfigError: a setting, or the specification of a known network, cannot be used.
    """
    say = progress_of.stages(progress)
    say("reading the run, its data and the known networks")
    known = read_networks(networks)
    trained, dataset = load_with_data(workdir, data_path)
    evaluation = evaluate(
        trained,
        dataset,
        settings,
        known,
        say=say,
        progress=progress,
        origin={
            "workdir": str(workdir),
            "data_path": data_path,
            "networks": list(networks),
            "output": str(output),
        },
    )
    say("writing the tables and the report")
    folder = Path(output or workdir)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [*write_files(folder, evaluation), write_report(folder, evaluation)]
    say("done")
    return evaluation, paths
