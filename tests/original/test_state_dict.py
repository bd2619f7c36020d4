"""PyTorch's parameters to ours and back, what shapes tell, and files that must not be trusted."""

import itertools

import jax
import numpy as np
import pytest

from gpo_vae_jax.config import ModelConfig
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.original import state_dict
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import InputStatistics, Sizes
from tests.builders import SIZES, Case, configure, make_case

LIKELIHOODS = ("library_nb", "poisson", "normal", "normal_fixed_variance")
NORMALISATIONS = ("log_standardize", "standardize", "none")
DEFAULT = configure().model
SPEC = Spec(SIZES, DEFAULT)


def tree_equal(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for ours, expected in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(ours, expected)


def state_of(case: Case) -> dict[str, np.ndarray]:
    return state_dict.to_torch(case.params, case.spec)


@pytest.mark.parametrize(
    ("likelihood", "summed", "mean_field", "kind"),
    list(itertools.product(LIKELIHOODS, [False, True], [False, True], ["logits", "probs"])),
)
def test_there_and_back_gives_the_same_parameters_and_settings(
    likelihood, summed, mean_field, kind
):
    changed = {
        "likelihood_key": likelihood,
        "sum_mode": summed,
        "mean_field_encoder": mean_field,
        "logits_or_probs": kind,
        "n_latent": 4 if summed else 3,
        "input_normalization": NORMALISATIONS[LIKELIHOODS.index(likelihood) % 3],
        "temperature": 0.5 if summed else 1.0,
        "embedding_prior_scale": 2.0 if mean_field else 1.0,
        "basal_encoder_n_layers": 3 if summed else 1,
        "decoder_n_layers": 0 if mean_field else 2,
    }
    sizes = Sizes(n_genes=7, n_treatments=4, n_perturbed=4, n_quality=2 if summed else 1)
    case = make_case(configure(changed), sizes)
    state = state_dict.to_torch(case.params, case.spec, case.context.statistics)
    assert all(value.dtype == np.float32 for value in state.values())
    tree_equal(state_dict.from_torch(state, case.spec), case.params)
    assert state_dict.infer(state) == case.spec
    found = state_dict.statistics_from_torch(state)
    assert_statistics(found, case.context.statistics, case.spec.model.input_normalization)


def assert_statistics(found, expected: InputStatistics, normalisation: str):
    if normalisation == "none":
        assert found is None
        return
    used = ("log_mean", "log_std") if normalisation == "log_standardize" else ("mean", "std")
    for name in used:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_every_parameter_has_its_own_place_in_the_state():
    case = make_case(sizes=Sizes(7, 4, 3, 2))
    numbers = np.arange(sum(leaf.size for leaf in jax.tree.leaves(case.params)), dtype=np.float32)
    leaves, structure = jax.tree.flatten(case.params)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = np.split(numbers, ends)
    numbered = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    state = state_dict.to_torch(jax.tree.unflatten(structure, numbered), case.spec)
    trained = [state[entry.torch] for entry in state_dict.entries(DEFAULT)]
    np.testing.assert_array_equal(np.sort(np.concatenate([np.ravel(v) for v in trained])), numbers)


def test_the_generative_model_alone_can_be_read():
    case = make_case()
    state = {name: value for name, value in state_of(case).items() if name.startswith("model.")}
    params = state_dict.from_torch(state, case.spec, decoder_only=True)
    tree_equal(params, {"decoder": case.params["decoder"]})


def refusals(spoil) -> dict[str, str]:
    """Give, for every tensor in turn, what reading a state says where `spoil(state, name)`."""
    found, complete = {}, state_of(make_case())
    for name in (entry.torch for entry in state_dict.entries(DEFAULT)):
        state = dict(complete)
        spoil(state, name)
        try:
            state_dict.from_torch(state, SPEC)
            found[name] = "nothing"
        except DataError as error:
            found[name] = str(error)
    return found


def test_a_missing_tensor_is_named():
    said = refusals(lambda state, name: state.pop(name))
    assert [name for name, text in said.items() if name not in text] == []


@pytest.mark.parametrize("axis", [0, -1])
def test_a_tensor_of_another_shape_is_named(axis):
    def spoil(state, name):
        state[name] = np.concatenate([state[name], state[name]], axis)

    assert [name for name, text in refusals(spoil).items() if name not in text] == []


def test_a_state_without_a_mask_is_no_model():
    with pytest.raises(DataError, match="q_mask_logits"):
        state_dict.infer({"guide.something": np.zeros(3)})


def test_settings_that_leave_no_trace_keep_their_defaults():
    case = make_case(configure({"mask_prior": 0.7}))
    state = {name: value for name, value in state_of(case).items() if "p_mask" not in name}
    found = state_dict.infer(state)
    assert case.spec.model.mask_prior == 0.7
    assert found.model.mask_prior == ModelConfig().mask_prior
    assert found.sizes.n_perturbed == SIZES.n_treatments
