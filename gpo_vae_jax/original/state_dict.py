"""Parameters of the PyTorch original to ours and back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

import jax
import numpy as np

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.model import init_params
from gpo_vae_jax.model.heads import HEADS, head_of
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import InputStatistics, Params, Sizes

State = Mapping[str, np.ndarray]


class Entry(NamedTuple):
    """A PyTorch tensor and its place here: a path for each block of its inputs."""

    torch: str
    paths: tuple[tuple[str, ...], ...]
    transposed: bool


def entries(config: ModelConfig) -> list[Entry]:
    """List the trainable tensors of the original for these settings.

    Raises:
      DataError: the original has no such likelihood head, or no such effects.
    """
    mask = f"mask_{config.logits_or_probs}"
    if config.effect_guide != "encoder":
        raise DataError(f"the original has no model.effect_guide={config.effect_guide!r}")
    found = [Entry(f"guide.param_dict.q_{mask}", (("guide", mask),), False)]
    basal = ("expression",) if config.mean_field_encoder else ("expression", "effect", "quality")
    deep = config.embedding_encoder_n_layers
    encoders = (
        ("embedding_encoder", "embedding_encoder", ("mask", "treatment"), deep),
        ("qc_encoder", "quality_encoder", ("constant",), deep),
        ("z_basal_encoder", "basal_encoder", basal, config.basal_encoder_n_layers),
    )
    for theirs, ours, blocks, n_layers in encoders:
        at, here = f"guide.{theirs}", ("guide", ours)
        found += _mlp(f"{at}.mlp", (*here, "mlp"), blocks, n_layers)
        found += _dense(f"{at}.mean_encoder", (*here, "mean"))
        found += _dense(f"{at}.log_var_encoder", (*here, "log_variance"))
    blocks = ("latent",) if config.sum_mode else ("basal", "effect", "quality")
    at, here = "model.decoder", ("decoder",)
    found += _mlp(f"{at}.mlp", (*here, "mlp"), blocks, config.decoder_n_layers + 1)
    for ours, theirs in _head_names(config.likelihood_key).items():
        if ours in head_of(config.likelihood_key).linear:
            found += _dense(f"{at}.{theirs}", (*here, ours))
        else:
            found.append(Entry(f"{at}.{theirs}", ((*here, ours),), False))
    return found


def from_torch(state: State, spec: Spec, *, decoder_only: bool = False) -> Params:
    """Return our parameters from the original's state_dict (arrays by name).

    Args:
      state: tensors by name.
      spec: sizes and settings of the model, as `infer` reads them off a state_dict.
      decoder_only: leave out the guide, for a state that holds the generative model alone.

    Raises:
      DataError: a tensor is missing, or its shape does not fit the settings.
    """
    params: dict[str, Any] = {}
    config, sizes = spec.model, spec.sizes
    shapes = jax.eval_shape(lambda: init_params(jax.random.key(0), spec))
    for entry in entries(config):
        if decoder_only and not entry.torch.startswith("model."):
            continue
        if entry.torch not in state:
            raise DataError(
                f"the state_dict has no {entry.torch!r}; are likelihood_key="
                f"{config.likelihood_key!r}, logits_or_probs={config.logits_or_probs!r} and the "
                "numbers of layers those of the saved model?"
            )
        blocks = [_get(shapes, path).shape for path in entry.paths]
        expected = (sum(shape[0] for shape in blocks), *blocks[0][1:])
        value = np.asarray(state[entry.torch], np.float32)
        value, order = (value.T, -1) if entry.transposed else (value, 1)
        if value.shape != expected:
            raise DataError(
                f"{entry.torch!r} has shape {value.shape[::order]}; these settings and sizes give "
                f"{expected[::order]} ({sizes}, n_latent={config.n_latent})"
            )
        parts = np.split(value, np.cumsum([shape[0] for shape in blocks])[:-1])
        for path, part in zip(entry.paths, parts, strict=True):
            _put(params, path, part.copy())
    return params


def to_torch(
    params: Params, spec: Spec, statistics: InputStatistics | None = None
) -> dict[str, np.ndarray]:
    """Return the original's state_dict with its buffers; without statistics it lacks theirs."""
    state = {}
    for entry in entries(spec.model):
        parts = [np.asarray(_get(params, path)) for path in entry.paths]
        value = np.concatenate(parts) if len(parts) > 1 else parts[0]
        state[entry.torch] = np.array(value.T if entry.transposed else value, np.float32)
    return {**state, **_buffers(spec, statistics)}


def statistics_from_torch(state: State) -> InputStatistics | None:
    """Return the statistics in the normalisation buffers; None for a model without them."""
    at = "guide.normalization_module."
    found = {k[len(at) :]: np.asarray(v) for k, v in state.items() if k.startswith(at)}
    if not found:
        return None
    first = next(iter(found.values()))
    zeros, ones = np.zeros_like(first), np.ones_like(first)
    return InputStatistics(
        found.get("mean", zeros),
        found.get("scale", ones),
        found.get("log_mean", zeros),
        found.get("log_scale", ones),
    )


def infer(state: State) -> Spec:
    """Infer sizes and settings of the model from the shapes of a state_dict.

    Settings that leave no trace in it keep their defaults: priors and temperature without their
    buffers. The number of perturbed treatments is unknown and set to T.

    Raises:
      DataError: the state_dict is not that of a GPO-VAE.
    """
    kind = "logits" if "guide.param_dict.q_mask_logits" in state else "probs"
    mask = state.get(f"guide.param_dict.q_mask_{kind}")
    if mask is None:
        raise DataError("the state_dict has no guide.param_dict.q_mask_logits or _probs")
    decoder, guide = "model.decoder", "guide"
    likelihood, output = _head_in(state)
    n_genes, decoder_hidden = state[output].shape
    n_latent, basal_hidden = state[f"{guide}.z_basal_encoder.mean_encoder.weight"].shape
    deep_hidden = state[f"{guide}.embedding_encoder.mean_encoder.weight"].shape[1]
    buffers = {k.rsplit(".", 1)[1] for k in state if "normalization_module" in k}
    normalisation = "none" if not buffers else "standardize"
    config = ModelConfig(
        n_latent=n_latent,
        basal_encoder_n_layers=_depth(state, f"{guide}.z_basal_encoder"),
        basal_encoder_n_hidden=basal_hidden,
        embedding_encoder_n_layers=_depth(state, f"{guide}.embedding_encoder"),
        embedding_encoder_n_hidden=deep_hidden,
        decoder_n_layers=_depth(state, decoder) - 1,
        decoder_n_hidden=decoder_hidden,
        likelihood_key=likelihood,
        input_normalization="log_standardize" if "log_mean" in buffers else normalisation,
        sum_mode=state[f"{decoder}.mlp.layers.0.0.weight"].shape[1] == n_latent,
        mean_field_encoder=state[f"{guide}.z_basal_encoder.mlp.layers.0.0.weight"].shape[1]
        == n_genes,
        logits_or_probs=kind,
        temperature=_setting(state, f"{guide}.gs_temperature", ModelConfig.temperature),
        mask_prior=_setting(state, f"model.p_mask_{kind}", ModelConfig.mask_prior),
        embedding_prior_scale=_setting(state, "model.p_E_scale", ModelConfig.embedding_prior_scale),
    )
    n_treatments = mask.shape[0]
    n_quality = state.get("model.p_qc_E_loc", np.zeros((1, 1))).shape[0]
    return Spec(Sizes(n_genes, n_treatments, n_treatments, n_quality), config)


def _mlp(theirs: str, ours: tuple[str, ...], blocks: tuple[str, ...], n_layers: int) -> list[Entry]:
    kernels = tuple((*ours, "first", f"kernel_{block}") for block in blocks)
    found = [
        Entry(f"{theirs}.layers.0.0.weight", kernels, True),
        Entry(f"{theirs}.layers.0.0.bias", ((*ours, "first", "bias"),), False),
    ]
    for i in range(1, n_layers):
        found += _dense(f"{theirs}.layers.{i}.0", (*ours, f"later_{i - 1}"))
    return found


def _dense(theirs: str, ours: tuple[str, ...]) -> list[Entry]:
    return [
        Entry(f"{theirs}.weight", ((*ours, "kernel"),), True),
        Entry(f"{theirs}.bias", ((*ours, "bias"),), False),
    ]


def _buffers(spec: Spec, statistics: InputStatistics | None) -> dict[str, np.ndarray]:
    config, sizes = spec.model, spec.sizes
    t, q, latent = sizes.n_treatments, sizes.n_quality, config.n_latent
    full = {
        "model.p_E_loc": np.zeros((t, t)),
        "model.p_E_scale": np.full((t, t), config.embedding_prior_scale),
        f"model.p_mask_{config.logits_or_probs}": np.full((t, t), config.mask_prior),
        "model.p_qc_E_loc": np.zeros((q, latent)),
        "model.p_qc_E_scale": np.full((q, latent), config.embedding_prior_scale),
        "guide.treatment_one_hot": np.eye(t),
        "guide.qc_encoder_input": np.ones((q, latent)),
        "guide.gs_temperature": np.array([config.temperature]),
    }
    at, kind = "guide.normalization_module.", config.input_normalization
    if statistics is not None and kind == "log_standardize":
        full |= {f"{at}log_mean": statistics.log_mean, f"{at}log_scale": statistics.log_std}
    if statistics is not None and kind == "standardize":
        full |= {f"{at}mean": statistics.mean, f"{at}scale": statistics.std}
    return {name: np.asarray(value, np.float32) for name, value in full.items()}


def _setting(state: State, name: str, default: float) -> float:
    """Return the setting that a buffer was rounded from: 0.3, not 0.30000001."""
    return float(str(np.float32(np.ravel(state[name])[0]))) if name in state else default


def _depth(state: State, at: str) -> int:
    return sum(1 for k in state if k.startswith(f"{at}.mlp.layers.") and k.endswith(".weight"))


def _head_names(likelihood_key: str) -> Mapping[str, str]:
    """Return the original's name of each of the head's parameters (raises DataError)."""
    names = head_of(likelihood_key).in_pytorch
    if not names:
        raise DataError(f"the PyTorch original has no likelihood_key={likelihood_key!r}")
    return names


def _head_in(state: State) -> tuple[str, str]:
    """Return the head whose parameters a state holds, and the name of its first weight."""
    for key, head in HEADS.items():
        names = [
            f"model.decoder.{theirs}" + (".weight" if ours in head.linear else "")
            for ours, theirs in head.in_pytorch.items()
        ]
        if names and all(name in state for name in names):
            return key, names[0]
    raise DataError("the state_dict has no decoder with a likelihood of the original")


def _put(tree: dict[str, Any], path: tuple[str, ...], value: np.ndarray) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def _get(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    return reduce(getitem, path, tree)
