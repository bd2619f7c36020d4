"""A checkpoint of the original becomes a trained model, and the other way round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd

from gpo_vae_jax import presets
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError, DataError, counted, listed
from gpo_vae_jax.model.trained import Member, Trained
from gpo_vae_jax.original import state_dict
from gpo_vae_jax.original.checkpoint import Checkpoint
from gpo_vae_jax.original.torch_archive import write_archive
from gpo_vae_jax.original.yaml_settings import OF_SHAPES, TheirSettings, differing, settings_of
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train.description import describe
from gpo_vae_jax.types import Dataset, InputStatistics, Params

_OF_BUFFERS = ("temperature", "mask_prior", "embedding_prior_scale")
_WRAPPERS = ("loss_module.", "predictor.")  # the original stores the model under both


class Imported(NamedTuple):
    """A trained model made of a checkpoint, and what was assumed to make it."""

    trained: Trained
    notes: tuple[str, ...]


def import_checkpoint(
    found: Checkpoint,
    dataset: Dataset,
    *,
    settings: TheirSettings | None = None,
    genes: Sequence[str] = (),
    treatments: Sequence[str] = (),
) -> Imported:
    """Make a trained model of a checkpoint and the prepared data that it belongs to.

    Genes are matched by name: those of the checkpoint, or `genes` in its order. A checkpoint has no
    names of treatments: `treatments` names them in its order, or they are the data's, sorted as
    everywhere (perturbed genes, then extended ones).

    Args:
      found: from `read_checkpoint`.
      dataset: the prepared data.
      settings: of the training; by default those that the checkpoint holds.
      genes: G names in the order of the checkpoint, in place of its own.
      treatments: T names in the order of the checkpoint.

    Raises:
      DataError: the checkpoint has other genes, or another number of genes or treatments, than the
        data.
      ConfigError: settings contradict the shapes of the tensors.
    """
    inferred = state_dict.infer(found.state)
    if settings is None and found.settings:
        settings = settings_of(found.settings)
    config = _config(settings, inferred)
    sizes, notes = dataset.sizes, []
    _check_sizes(inferred, dataset)
    named = tuple(genes) or found.genes
    if named:
        gene_order = _order(named, dataset.genes, dataset.conventions.aliases, "genes", "--genes")
    else:
        gene_order = np.arange(len(dataset.genes))
        notes.append("the checkpoint names no genes: they are taken in the order of the data")
    if treatments:
        order = _order(
            treatments, dataset.treatments, dataset.conventions.aliases, "treatments",
            "--treatments",
        )  # fmt: skip
    else:
        order = np.arange(len(dataset.treatments))
        notes.append(
            "a checkpoint names no treatments: they are taken in the order of the data, perturbed "
            "genes and then extended ones, each sorted"
        )
    spec = Spec(dataclasses.replace(sizes, network_genes=(), unseen=()), config.model)
    if config.model.sum_mode and not np.array_equal(order, np.arange(len(order))):
        raise DataError(
            "treatments of a model with sum_mode are latents, too, and cannot be put into another "
            "order: prepare data whose treatments are in the order of the checkpoint"
        )
    params = _reordered(state_dict.from_torch(found.state, spec), gene_order, order)
    params, note = _on_statistics(params, found, gene_order, dataset, config)
    notes += [note] if note else []
    notes += _cells_note(found, order, dataset)
    epoch = found.epoch if found.epoch is not None else -1
    member = Member(
        seed=config.train.seed, params=params, best_loss=math.inf, best_epoch=epoch,
        n_epochs=epoch + 1, history=pd.DataFrame(),
    )  # fmt: skip
    about = {"imported": {"epoch": found.epoch, "step": found.step, "notes": notes}}
    trained = Trained(
        config, sizes, tuple(dataset.treatments), tuple(dataset.genes), (member,),
        {**describe(config, dataset), **about},
    )  # fmt: skip
    return Imported(trained, tuple(notes))


def export_checkpoint(trained: Trained, dataset: Dataset, path: str | Path) -> None:
    """Write a model as a checkpoint with the original's names of tensors.

    `torch.load(path, weights_only=True)["state_dict"]` is what the original's module loads.

    Args:
      trained: the model; its best member is written.
      dataset: the data that it was trained on.
      path: of the file.

    Raises:
      DataError: the original has no such model.
    """
    config = trained.config.model
    if config.effect != "latent" or config.effect_guide != "encoder" or config.escape_prior:
        raise DataError(
            f"the original has no model with config.model.effect={config.effect!r}, "
            f"config.model.effect_guide={config.effect_guide!r}: only latent effects of an encoder "
            "can be exported, as in the presets published, rpe1, replogle and adamson"
        )
    statistics = dataset.splits["train"].context.statistics
    state = state_dict.to_torch(trained.params, trained.spec, statistics)
    tensors: dict[str, Any] = {}
    for name, split in dataset.splits.items():
        tensors[f"D_obs_counts_{name}"] = np.asarray(split.context.treatment_cells)
    for name, split in dataset.splits.items():
        tensors[f"qc_obs_counts_{name}"] = np.asarray(split.context.quality_cells)
    for wrapper in _WRAPPERS:
        tensors |= {f"{wrapper}{name}": value for name, value in state.items()}
    content = {
        "epoch": max(trained.best.best_epoch, 0),
        "global_step": 0,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": tensors,
        "genes": list(trained.genes),
        "treatments": list(trained.treatments),
    }
    write_archive(path, content)


def _config(settings: TheirSettings | None, inferred: Spec) -> Config:
    config = presets.published() if settings is None else settings.config
    wrong = differing(config, inferred.model) if settings is not None else []
    if wrong:
        raise ConfigError(f"the settings are not those of the checkpoint: {'; '.join(wrong)}")
    told = {name: getattr(inferred.model, name) for name in (*OF_SHAPES, *_OF_BUFFERS)}
    model = dataclasses.replace(config.model, knowledge_path="", **told)
    return dataclasses.replace(config, model=model)


def _check_sizes(inferred: Spec, dataset: Dataset) -> None:
    theirs, ours = inferred.sizes, dataset.sizes
    for name, noun in (("n_genes", "gene"), ("n_treatments", "treatment"),
                       ("n_quality", "quality column")):  # fmt: skip
        n, m = getattr(theirs, name), getattr(ours, name)
        if n != m:
            raise DataError(
                f"the checkpoint has {counted(n, noun)} and the data has {m:,}; prepare the data "
                "as the original did (gpo-vae prepare --preset published, rpe1, replogle, adamson)"
            )


def _order(
    theirs: Sequence[str],
    ours: Sequence[str],
    aliases: Mapping[str, str],
    what: str,
    option: str,
) -> np.ndarray:
    """Return where each of our names stands among theirs, [n]."""
    place = {aliases.get(name, name) if name not in ours else name: i
             for i, name in enumerate(theirs)}  # fmt: skip
    missing = [name for name in ours if name not in place]
    if missing or len(theirs) != len(ours):
        others = sorted(set(place) - set(ours))
        raise DataError(
            f"{counted(len(missing), what[:-1])} of the data not in the checkpoint: "
            f"{listed(missing, 3)}; it has {listed(others, 3) or 'no others'}; if these are the "
            f"same {what} under other names, name the data's in the order of the checkpoint: "
            f"{option} FILE"
        )
    return np.array([place[name] for name in ours], np.int64)


def _reordered(params: Params, genes: np.ndarray, treatments: np.ndarray) -> Params:
    """Put genes and treatments of the parameters into the order of the data."""

    def of(path: tuple[str, ...], value: Any) -> Any:
        value = np.asarray(value)
        name = path[-1]
        if name.startswith("mask_"):
            return value[np.ix_(treatments, treatments)]
        if name in ("kernel_mask", "kernel_treatment", "kernel_effect"):
            return value[treatments]
        if name == "kernel_expression":
            return value[genes]
        if path[:2] == ("guide", "embedding_encoder") and path[2] in ("mean", "log_variance"):
            return value[..., treatments]
        if path[0] == "decoder" and path[1] != "mlp":
            return value[..., genes]
        return value

    return _mapped(params, of)


def _mapped(tree: Any, function: Any, at: tuple[str, ...] = ()) -> Any:
    if isinstance(tree, Mapping):
        return {name: _mapped(part, function, (*at, name)) for name, part in tree.items()}
    return jnp.asarray(function(at, tree))


def _on_statistics(
    params: Params, found: Checkpoint, genes: np.ndarray, dataset: Dataset, config: Config
) -> tuple[Params, str]:
    """Let the cell encoder read inputs that are normalised by the data's statistics.

    Where the checkpoint normalised by others, its first layer takes over the difference, so that
    the encoder computes what it did.
    """
    theirs = state_dict.statistics_from_torch(found.state)
    if theirs is None:
        return params, ""
    ours = dataset.splits["train"].context.statistics
    log = config.model.input_normalization == "log_standardize"
    (mean, scale), (new_mean, new_scale) = (
        [np.asarray(values, np.float64) for values in _pair(of, log)] for of in (theirs, ours)
    )
    mean, scale = mean[genes], scale[genes]
    if np.allclose(mean, new_mean, rtol=1e-4, atol=1e-5) and np.allclose(scale, new_scale, 1e-4):
        return params, ""
    first = dict(params["guide"]["basal_encoder"]["mlp"]["first"])
    kernel = np.asarray(first["kernel_expression"], np.float64)
    first["bias"] = jnp.asarray(
        np.asarray(first["bias"], np.float64) + ((new_mean - mean) / scale) @ kernel, jnp.float32
    )
    first["kernel_expression"] = jnp.asarray(kernel * (new_scale / scale)[:, None], jnp.float32)
    encoder = params["guide"]["basal_encoder"]
    encoder = {**encoder, "mlp": {**encoder["mlp"], "first": first}}
    n = int((~np.isclose(mean, new_mean, rtol=1e-4, atol=1e-5)).sum())
    return (
        {**params, "guide": {**params["guide"], "basal_encoder": encoder}},
        f"the checkpoint was trained on other cells: the mean of {counted(n, 'gene')} differs from "
        "that of the training cells; the encoder's first layer makes up for it",
    )


def _pair(of: InputStatistics, log: bool) -> tuple[Any, Any]:
    return (of.log_mean, of.log_std) if log else (of.mean, of.std)


def _cells_note(found: Checkpoint, order: np.ndarray, dataset: Dataset) -> list[str]:
    if found.cells is None or len(found.cells) != len(order):
        return []
    ours = np.asarray(dataset.splits["train"].context.treatment_cells)
    n = int((np.asarray(found.cells)[order] != ours).sum())
    if not n:
        return []
    return [
        f"the training cells of {counted(n, 'treatment')} of {len(order)} are not as many as in "
        "the checkpoint: the split, or the order of treatments, is another"
    ]
