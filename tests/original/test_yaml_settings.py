"""The original's YAML: every key finds its setting, and mistakes are named with the nearest key."""

import dataclasses

import pytest
import yaml

from gpo_vae_jax import presets
from gpo_vae_jax.config import Config
from gpo_vae_jax.errors import ConfigError
from gpo_vae_jax.original.yaml_settings import SETTINGS, read_yaml, settings_of

THEIRS = """\
name: gpo_vae_rpe1
seed: 2
max_epochs: 100
gradient_clip_norm: 100
devices: [0, 1]
use_wandb: true
wandb_kwargs.project: mine
data_module: RPE1DataModule
data_module_kwargs.batch_size: 256
data_module_kwargs.qc_threshold: 4
data_module_kwargs.get_pair_mode: hpm
data_module_kwargs.mask_test: null
model_kwargs--guide_kwargs.n_latent: 50
model_kwargs.logits_or_probs--guide_kwargs.logits_or_probs: probs
model_kwargs:
  mask_prior: 0.2
  decoder_n_hidden: 300
loss_module_kwargs.gloss_coeff: 50
loss_module_kwargs.penaly_coeff: 5
loss_module_kwargs.alpha: null
lightning_module_kwargs.lr: 1e-4
lightning_module_kwargs.n_particles: 3
use_scheduler: false
"""
BOMB = "x0: &x0 [1, 2]\n" + "".join(f"x{i}: &x{i} [*x{i - 1}, *x{i - 1}]\n" for i in range(1, 40))


def of(text, tmp_path):
    (tmp_path / "theirs.yaml").write_text(text)
    return read_yaml(tmp_path / "theirs.yaml")


def test_their_settings_are_ours(tmp_path):
    config, unused = of(THEIRS, tmp_path)
    base = presets.rpe1()
    assert config == dataclasses.replace(
        base,
        name="gpo_vae_rpe1",
        prepare=dataclasses.replace(base.prepare, qc_threshold=4.0, matching="hpm"),
        model=dataclasses.replace(
            base.model, n_latent=50, logits_or_probs="probs", mask_prior=0.2, decoder_n_hidden=300
        ),
        objective=dataclasses.replace(base.objective, gloss_coeff=50.0, penalty_coeff=5.0),
        train=dataclasses.replace(
            base.train, seed=2, max_epochs=100, batch_size=256, learning_rate=1e-4, n_particles=3
        ),
    )
    assert set(unused) == {"devices", "use_wandb", "wandb_kwargs.project", "data_module"}


@pytest.mark.parametrize("key", SETTINGS)
def test_every_key_names_a_setting_of_ours(key):
    group, name = SETTINGS[key]
    kind = Config() if not group else getattr(Config(), group)
    assert name in {field.name for field in dataclasses.fields(kind)}


def test_dotted_and_nested_keys_are_the_same():
    flat = yaml.safe_load(THEIRS)
    nested = {"loss_module_kwargs": {"gloss_coeff": 50}, "seed": 1}
    assert settings_of(nested) == settings_of({"loss_module_kwargs.gloss_coeff": 50, "seed": 1})
    assert settings_of(flat).config.train.seed == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model_kwargs.n_latnt: 3", "no key 'model_kwargs.n_latnt'; the nearest is 'model_kwargs"),
        ("loss_module_kwargs.pealty_coeff: 3", "nearest is 'loss_module_kwargs.pen"),
        ("lightning_module_kwargs.seed: 3", "the nearest is 'seed'"),
        ("model_kwargs.n_latent: many", "model_kwargs.n_latent='many' must be"),
        ("lightning_module_kwargs.lr: -1", "lightning_module_kwargs.lr=-1.0 must be"),
        ("data_module_kwargs.get_pair_mode: best", "data_module_kwargs.get_pair_mode='best' is"),
        ("use_scheduler: 3", "use_scheduler=3 must be true or false"),
        (
            "model_kwargs.n_latent: 3\nguide_kwargs.n_latent: 4",
            "model_kwargs.n_latent=3 and guide_kwargs.n_latent=4 name one setting",
        ),
        ("- a\n- b", "must hold keys"),
        ("a: [", "is no YAML"),
        (BOMB, "more than 10,000 values"),
        ("a: &a\n  b: *a\n", "more than 10,000 values"),
        ("!!python/object/apply:os.mkdir ['{trace}']", "is no YAML"),
    ],
)
def test_mistakes_are_named(text, says, tmp_path):
    with pytest.raises(ConfigError) as error:
        of(text.replace("{trace}", str(tmp_path / "executed")), tmp_path)
    assert says in str(error.value) and "\n" not in str(error.value)
    assert "theirs.yaml" in str(error.value)
    assert not (tmp_path / "executed").exists()


def test_a_scheduler_is_the_cyclic_sgd():
    assert settings_of({"use_scheduler": True}).config.train.optimizer == "sgd"
    assert settings_of({}).config == presets.published()
