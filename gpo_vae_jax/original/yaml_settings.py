"""The original's settings: a YAML file of flat dotted keys, or the dictionary of a checkpoint."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gpo_vae_jax import presets
from gpo_vae_jax.config import Config
from gpo_vae_jax.config_io import from_dict, to_dict
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.original.inert_values import is_larger_than

# Their key: our group and setting. Keys of one line mean the same.
SETTINGS: Mapping[str, tuple[str, str]] = {
    "seed": ("train", "seed"),
    "max_epochs": ("train", "max_epochs"),
    "gradient_clip_norm": ("train", "gradient_clip_norm"),
    "data_module_kwargs.batch_size": ("train", "batch_size"),
    "data_module_kwargs.qc_threshold": ("prepare", "qc_threshold"),
    "data_module_kwargs.get_pair_mode": ("prepare", "matching"),
    "data_module_kwargs.stat_path": ("prepare", "strong_table"),
    "data_module_kwargs.mask_test": ("data", "mask_test"),
    "model_kwargs.n_latent": ("model", "n_latent"),
    "guide_kwargs.n_latent": ("model", "n_latent"),
    "model_kwargs.mask_prior": ("model", "mask_prior"),
    "model_kwargs.logits_or_probs": ("model", "logits_or_probs"),
    "guide_kwargs.logits_or_probs": ("model", "logits_or_probs"),
    "model_kwargs.embedding_prior_scale": ("model", "embedding_prior_scale"),
    "model_kwargs.likelihood_key": ("model", "likelihood_key"),
    "model_kwargs.decoder_n_layers": ("model", "decoder_n_layers"),
    "model_kwargs.decoder_n_hidden": ("model", "decoder_n_hidden"),
    "model_kwargs.sum_mode": ("model", "sum_mode"),
    "guide_kwargs.sum_mode": ("model", "sum_mode"),
    "guide_kwargs.basal_encoder_n_layers": ("model", "basal_encoder_n_layers"),
    "guide_kwargs.basal_encoder_n_hidden": ("model", "basal_encoder_n_hidden"),
    "guide_kwargs.basal_encoder_input_normalization": ("model", "input_normalization"),
    "guide_kwargs.embedding_encoder_n_layers": ("model", "embedding_encoder_n_layers"),
    "guide_kwargs.embedding_encoder_n_hidden": ("model", "embedding_encoder_n_hidden"),
    "guide_kwargs.mean_field_encoder": ("model", "mean_field_encoder"),
    "guide_kwargs.mask_init": ("model", "mask_init"),
    "guide_kwargs.gs_temperature": ("model", "temperature"),
    "guide_kwargs.knowledge_path": ("model", "knowledge_path"),
    "loss_module_kwargs.knowledge_path": ("model", "knowledge_path"),
    "guide_kwargs.fc_criteria": ("objective", "fc_criteria"),
    "loss_module_kwargs.fc_criteria": ("objective", "fc_criteria"),
    "loss_module_kwargs.beta": ("objective", "beta"),
    "loss_module_kwargs.alpha": ("objective", "alpha"),
    "loss_module_kwargs.hop": ("objective", "hop"),
    "loss_module_kwargs.gloss_coeff": ("objective", "gloss_coeff"),
    "loss_module_kwargs.penaly_coeff": ("objective", "penalty_coeff"),  # as it is spelt there
    "loss_module_kwargs.penalty_coeff": ("objective", "penalty_coeff"),
    "lightning_module_kwargs.lr": ("train", "learning_rate"),
    "lightning_module_kwargs.n_particles": ("train", "n_particles"),
    "lightning_module_kwargs.weight_decay": ("train", "weight_decay"),
    "use_scheduler": ("train", "optimizer"),
    "name": ("", "name"),
}
# Keys that say nothing here: sizes follow from the data; machines, logging and files have options.
WITHOUT_MEANING = (
    *("data_module", "model", "guide", "loss_module", "lightning_module", "predictor"),
    *("devices", "accelerator", "num_workers", "use_wandb", "wandb", "entity", "project", "group"),
    *("tags", "ckpt_path", "results_dir", "log_dir", "check_val_every_n_epoch", "patience"),
    *("data_module_kwargs.data_path", "data_module_kwargs.n_qc_pass"),
    *("data_module_kwargs.n_qc_fail", "data_module_kwargs.num_workers"),
    *("model_kwargs.n_treatments", "model_kwargs.n_phenos", "model_kwargs.n_qc"),
    *("guide_kwargs.n_treatments", "guide_kwargs.n_phenos", "guide_kwargs.n_qc"),
    *("loss_module_kwargs.pos_weight", "predictor_kwargs"),
)
_MOST = 10_000  # values of a file, aliases written out
_MODULES = {"rpe1": "rpe1", "replogle": "replogle", "k562": "replogle", "adamson": "adamson"}
_NONE_IS = {"mask_test": (), "knowledge_path": "", "strong_table": ""}


class TheirSettings(NamedTuple):
    """Their settings as ours, and the keys that were left out because they say nothing here."""

    config: Config
    unused: tuple[str, ...]


def read_yaml(path: str | Path) -> TheirSettings:
    """Read the original's YAML.

    Keys may be nested or dotted, `model_kwargs.n_latent`. `a--b` gives one value to several keys:
    `model_kwargs.n_latent--guide_kwargs.n_latent`, or `model_kwargs--guide_kwargs.n_latent`.

    Raises:
      ConfigError: the file is no YAML of settings, a key is unknown (the nearest is named), a value
        does not fit, or two keys say different things.
    """
    import yaml

    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"{path} is no YAML that can be read: {text}") from error
    if is_larger_than(values, _MOST):
        raise ConfigError(f"{path} has more than {_MOST:,} values, which is no file of settings")
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} must hold keys with values, such as model_kwargs.n_latent: 200")
    try:
        return settings_of(values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def settings_of(values: Mapping[Any, Any]) -> TheirSettings:
    """Return the original's settings, by nested or dotted keys, as ours (raises ConfigError).

    What they leave out is that of the preset of their data module, or else of `published`.
    """
    found: dict[tuple[str, str], tuple[str, Any]] = {}
    unused, module = [], ""
    for key, value in _flat(values):
        if key == "data_module":
            module = str(value)
        if _says_nothing(key):
            unused.append(key)
            continue
        if key not in SETTINGS:
            raise ConfigError(f"there is no key {key!r}; {_nearest(key)}")
        place = SETTINGS[key]
        ours = _value(key, place, value)
        if place in found and found[place][1] != ours:
            raise ConfigError(
                f"{found[place][0]}={found[place][1]!r} and {key}={ours!r} name one setting; give "
                "both the same value"
            )
        found[place] = (key, ours)
    base = next((name for part, name in _MODULES.items() if part in module.lower()), "published")
    settings = to_dict(presets.PRESETS[base]())
    for (group, name), (_, value) in found.items():
        (settings[group] if group else settings)[name] = value
    try:
        return TheirSettings(from_dict(settings), tuple(unused))
    except ConfigError as error:
        raise ConfigError(_in_their_words(str(error), found)) from error


def _flat(values: Mapping[Any, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values; a shared key is yielded once for each that shares."""
    for key, value in values.items():
        whole = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{whole}.")
            continue
        *firsts, last = whole.split("--")
        tail = last.partition(".")[2]
        for part in (*firsts, last):
            shared = part if "." in part or not tail or part == last else f"{part}.{tail}"
            yield shared.strip(), value


def _says_nothing(key: str) -> bool:
    return any(key == name or key.startswith((f"{name}.", f"{name}_kwargs.wandb"))
               for name in (*WITHOUT_MEANING, "wandb_kwargs"))  # fmt: skip


def _value(key: str, place: tuple[str, str], value: Any) -> Any:
    """Return a value with the type of our setting: YAML reads 3e-4 as text, and 3 as whole."""
    group, name = place
    if name == "optimizer":
        if not isinstance(value, bool):
            raise ConfigError(f"{key}={value!r} must be true or false")
        return "sgd" if value else "adam"
    if value is None and name in _NONE_IS:
        return _NONE_IS[name]
    if name == "mask_test" and isinstance(value, str):
        return (value,)
    kind = Config if not group else typing.get_type_hints(Config)[group]
    if float in (hint := typing.get_type_hints(kind)[name], *typing.get_args(hint)):
        try:
            return value if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            return value
    return value


def _nearest(key: str) -> str:
    known = [*SETTINGS, *WITHOUT_MEANING]
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    last = key.rpartition(".")[2]
    same = [name for name in known if name.rpartition(".")[2] == last]
    best = (same or close or [""])[0]
    return f"the nearest is {best!r}" if best else f"there are: {', '.join(sorted(SETTINGS))}"


def _in_their_words(message: str, found: Mapping[tuple[str, str], tuple[str, Any]]) -> str:
    """Name their key where a message names our setting."""
    for (group, name), (key, _) in found.items():
        ours = f"config.{group}.{name}" if group else f"config.{name}"
        if ours in message:
            return message.replace(ours, key)
    return message


def differing(config: Config, inferred: Any) -> list[str]:
    """List where the settings of a model contradict what the shapes of its tensors say."""
    return [
        f"{field.name} is {getattr(config.model, field.name)!r} in the settings and "
        f"{getattr(inferred, field.name)!r} in the tensors"
        for field in dataclasses.fields(inferred)
        if field.name in OF_SHAPES
        and getattr(config.model, field.name) != getattr(inferred, field.name)
    ]


OF_SHAPES = (  # settings that the shapes and names of tensors tell
    *("n_latent", "basal_encoder_n_layers", "basal_encoder_n_hidden"),
    *("embedding_encoder_n_layers", "embedding_encoder_n_hidden"),
    *("decoder_n_layers", "decoder_n_hidden", "likelihood_key", "input_normalization"),
    *("sum_mode", "mean_field_encoder", "logits_or_probs"),
)
