"""Checkpoints to runs and back: names, statistics, and what cannot be exchanged."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from gpo_vae_jax import data, presets
from gpo_vae_jax.config import SimulateConfig
from gpo_vae_jax.errors import ConfigError, DataError
from gpo_vae_jax.model import bind
from gpo_vae_jax.original import state_dict
from gpo_vae_jax.original.checkpoint import read_checkpoint
from gpo_vae_jax.original.exchange import export_checkpoint, import_checkpoint
from gpo_vae_jax.original.yaml_settings import settings_of
from gpo_vae_jax.train.training import initial_states
from gpo_vae_jax.types import InputStatistics
from tests.original import checkpoints
from tests.original.test_state_dict import tree_equal
from tests.running import call

SMALL = {
    "n_latent": 4,
    "basal_encoder_n_hidden": 6,
    "embedding_encoder_n_layers": 2,
    "embedding_encoder_n_hidden": 6,
    "decoder_n_hidden": 6,
}


@pytest.fixture(scope="module")
def prepared():
    simulated = SimulateConfig(n_cells=400, n_genes=40, n_perturbed=5, n_extended=3)
    return data.prepare(data.simulate(simulated), presets.demo().prepare)


@pytest.fixture(scope="module")
def dataset(prepared):
    return data.from_anndata(prepared)


@pytest.fixture(scope="module")
def config():
    base = presets.published()
    return dataclasses.replace(base, model=dataclasses.replace(base.model, **SMALL))


@pytest.fixture(scope="module")
def params(dataset, config):
    """Return random parameters, the mask's too."""
    (state,) = initial_states(dataset, config, [0])
    drawn = iter(jax.random.split(jax.random.key(1), 100))
    return jax.tree.map(lambda x: 0.2 * jax.random.normal(next(drawn), x.shape), state.best_params)


def state_of(params, dataset, config, genes=None, treatments=None, statistics=None):
    """Return the state of a model, whose genes and treatments are in another order."""
    from gpo_vae_jax.spec import Spec

    statistics = statistics or dataset.splits["train"].context.statistics
    spec = Spec.of(config, dataset.sizes)
    state = state_dict.to_torch(params, spec, statistics)
    n, t = len(dataset.genes), len(dataset.treatments)
    genes = np.arange(n) if genes is None else genes
    treatments = np.arange(t) if treatments is None else treatments
    first = "guide.z_basal_encoder.mlp.layers.0.0.weight"
    columns = np.concatenate([genes, n + treatments, np.arange(n + t, state[first].shape[1])])
    state[first] = state[first][:, columns]
    deep = "guide.embedding_encoder.mlp.layers.0.0.weight"
    state[deep] = state[deep][:, np.concatenate([treatments, t + treatments])]
    for name in ("mean_encoder", "log_var_encoder"):
        for part in ("weight", "bias"):
            key = f"guide.embedding_encoder.{name}.{part}"
            state[key] = state[key][treatments]
    mask = "guide.param_dict.q_mask_logits"
    state[mask] = state[mask][np.ix_(treatments, treatments)]
    decoder, latent = "model.decoder.mlp.layers.0.0.weight", config.model.n_latent
    columns = np.concatenate([
        np.arange(latent), latent + treatments, np.arange(latent + t, state[decoder].shape[1])
    ])  # fmt: skip
    state[decoder] = state[decoder][:, columns]
    for name in list(state):
        if "normalized_mean_decoder" in name or "log_concentration" in name or "norm" in name:
            state[name] = state[name][genes]
    return state


def written(tmp_path, state, **settings):
    return read_checkpoint(checkpoints.write(tmp_path / "theirs.ckpt", state, **settings))


def test_parameters_are_those_of_the_state(tmp_path, params, dataset, config):
    found = written(tmp_path, state_of(params, dataset, config), genes=dataset.genes)
    trained, notes = import_checkpoint(found, dataset)
    tree_equal(jax.tree.map(np.asarray, trained.params), jax.tree.map(np.asarray, params))
    assert trained.treatments == dataset.treatments and trained.genes == dataset.genes
    assert trained.config.model == config.model
    assert any("names no treatments" in note for note in notes)
    assert trained.best.best_epoch == 7


def test_genes_and_treatments_are_matched_by_name(tmp_path, params, dataset, config):
    rng = np.random.default_rng(0)
    genes = rng.permutation(len(dataset.genes))
    treatments = rng.permutation(len(dataset.treatments))
    state = state_of(params, dataset, config, genes, treatments)
    found = written(tmp_path, state, genes=[dataset.genes[i] for i in genes])
    names = [dataset.treatments[i] for i in treatments]
    trained, _ = import_checkpoint(found, dataset, treatments=names)
    tree_equal(jax.tree.map(np.asarray, trained.params), jax.tree.map(np.asarray, params))


def test_an_encoder_of_other_statistics_computes_what_it_did(tmp_path, params, dataset, config):
    ours = dataset.splits["train"].context.statistics
    rng = np.random.default_rng(0)
    theirs = InputStatistics(
        ours.mean, ours.std, ours.log_mean + rng.normal(size=ours.log_mean.shape),
        ours.log_std * rng.uniform(0.5, 2, ours.log_std.shape),
    )  # fmt: skip
    theirs = InputStatistics(*(np.asarray(of, np.float32) for of in theirs))
    state = state_of(params, dataset, config, statistics=theirs)
    trained, notes = import_checkpoint(written(tmp_path, state, genes=dataset.genes), dataset)
    assert any("was trained on other cells" in note for note in notes)
    counts = dataset.splits["test"].cells.counts[:20]
    as_it_was = bind(params, trained.spec).guide.encode_counts(counts, theirs)
    now = bind(trained.params, trained.spec).guide.encode_counts(counts, ours)
    first = ("guide", "basal_encoder", "mlp", "first", "bias")
    change = [trained.params, params]
    for name in first:
        change = [tree[name] for tree in change]
    np.testing.assert_allclose(now + (change[0] - change[1])[None], as_it_was, rtol=2e-4, atol=2e-3)


def test_what_does_not_fit_is_named(tmp_path, params, dataset, config):
    state = state_of(params, dataset, config)
    others = [f"g{i}" for i in range(len(dataset.genes))]
    found = written(tmp_path, state, genes=others)
    with pytest.raises(
        DataError, match=r"not in the checkpoint: GENE.*it has g0, g1, g10.*--genes"
    ):
        import_checkpoint(found, dataset)
    trained, _ = import_checkpoint(found, dataset, genes=dataset.genes)
    assert trained.genes == dataset.genes
    with pytest.raises(DataError, match=r"1 treatment of the data not in .*--treatments"):
        import_checkpoint(
            found, dataset, genes=dataset.genes, treatments=[*dataset.treatments[:-1], "X"]
        )
    fewer = data.from_anndata(
        data.prepare(data.simulate(SimulateConfig(n_cells=300, n_genes=30, n_perturbed=4)))
    )
    with pytest.raises(DataError, match=r"the checkpoint has 40 genes and the data has 30"):
        import_checkpoint(found, fewer)
    wrong = settings_of({"model_kwargs.n_latent": 9})
    with pytest.raises(ConfigError, match=r"n_latent is 9 in the settings and 4 in the tensors"):
        import_checkpoint(found, dataset, settings=wrong, genes=dataset.genes)
    own = {"model_kwargs": {"n_latent": 9}}
    of_file = written(tmp_path, state, genes=dataset.genes, config=own)
    with pytest.raises(ConfigError, match=r"n_latent is 9"):
        import_checkpoint(of_file, dataset)


def test_another_number_of_cells_is_noted(tmp_path, params, dataset, config):
    state = state_of(params, dataset, config)
    cells = np.asarray(dataset.splits["train"].context.treatment_cells)
    same = written(tmp_path, state, genes=dataset.genes, cells=cells)
    assert not any("training cells" in note for note in import_checkpoint(same, dataset).notes)
    other = written(tmp_path, state, genes=dataset.genes, cells=cells[::-1])
    assert any(
        "not as many as in the checkpoint" in n for n in import_checkpoint(other, dataset).notes
    )


def test_there_and_back_is_the_same_tensor_for_tensor(tmp_path, params, dataset, config):
    state = state_of(params, dataset, config)
    trained, _ = import_checkpoint(written(tmp_path, state, genes=dataset.genes), dataset)
    export_checkpoint(trained, dataset, tmp_path / "ours.ckpt")
    found = read_checkpoint(tmp_path / "ours.ckpt")
    tree_equal(found.state, state)
    cells = np.asarray(dataset.splits["train"].context.treatment_cells)
    np.testing.assert_array_equal(found.cells, cells)
    again, _ = import_checkpoint(found, dataset)
    tree_equal(jax.tree.map(np.asarray, again.params), jax.tree.map(np.asarray, params))


def test_a_model_that_the_original_lacks_is_not_exported(tmp_path, dataset, params, config):
    found = written(tmp_path, state_of(params, dataset, config), genes=dataset.genes)
    trained, _ = import_checkpoint(found, dataset)
    model = dataclasses.replace(trained.config.model, effect="propagated", effect_guide="table")
    other = dataclasses.replace(trained, config=dataclasses.replace(trained.config, model=model))
    with pytest.raises(DataError, match=r"config\.model\.effect='propagated'.*published"):
        export_checkpoint(other, dataset, tmp_path / "ours.ckpt")
    assert not (tmp_path / "ours.ckpt").exists()


@pytest.fixture(scope="module")
def imported(tmp_path_factory, prepared, params, dataset, config):
    """Return a folder with the prepared data, a checkpoint, and the run made of it."""
    folder = tmp_path_factory.mktemp("imported")
    data.write(prepared, folder / "prepared.h5ad")
    state = state_of(params, dataset, config)
    checkpoints.write(folder / "theirs.ckpt", state, genes=dataset.genes)
    done = call(
        "import-original", f"--checkpoint={folder / 'theirs.ckpt'}",
        f"--data={folder / 'prepared.h5ad'}", f"--output={folder / 'run'}",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert done.out.splitlines()[-1] == f"next: gpo-vae evaluate --workdir={folder / 'run'}"
    return folder


def test_every_command_opens_an_imported_run(imported, dataset):
    run = imported / "run"
    few = ("--evaluate.effect_particles=20", "--evaluate.effect_cells=30",
           "--evaluate.iwelbo_particles=3", "--evaluate.quality_cells=10",
           "--evaluate.matched_edges=(5,10)")  # fmt: skip
    done = call("evaluate", f"--workdir={run}", *few)
    assert done.status == 0, done.err
    assert json.loads((run / "evaluation.json").read_text())["predictive_iwelbo"]["mean"] < 0
    done = call("export-grn", f"--workdir={run}")
    assert done.status == 0, done.err
    gene = dataset.treatments[0]
    done = call("predict", f"--workdir={run}", "--perturbations", gene, "--cells=5",
                f"--output={imported / 'cells.h5ad'}")  # fmt: skip
    assert done.status == 0, done.err
    done = call("compare", f"a={run}", f"b={run}", f"--output={imported / 'both'}")
    assert done.status == 0, done.err


def test_an_imported_run_is_exported_as_it_was(imported):
    done = call(
        "export-original", f"--workdir={imported / 'run'}", f"--output={imported / 'ours.ckpt'}"
    )
    assert done.status == 0, done.err
    tree_equal(
        read_checkpoint(imported / "ours.ckpt").state,
        read_checkpoint(imported / "theirs.ckpt").state,
    )


def test_mistakes_write_nothing(imported, tmp_path):
    given = {"--checkpoint": imported / "theirs.ckpt", "--data": imported / "prepared.h5ad",
             "--output": tmp_path / "run"}  # fmt: skip
    for change, says in (
        ({"--checkpoint": tmp_path / "absent.ckpt"}, "--checkpoint: there is no file"),
        ({"--checkpoint": imported / "prepared.h5ad"}, "no zip archive"),
        ({"--data": imported / "theirs.ckpt"}, "theirs.ckpt"),
        ({"--genes": tmp_path / "absent.txt"}, "--genes: there is no file"),
    ):
        done = call("import-original", *(f"{k}={v}" for k, v in {**given, **change}.items()))
        assert done.status == 1 and says in done.err, done.err
        assert done.err.count("\n") == 1 and not (tmp_path / "run").exists()


def test_their_yaml_trains(imported, tmp_path):
    (tmp_path / "theirs.yaml").write_text(
        "data_module: RPE1DataModule\ndevices: [0]\nmax_epochs: 2\n"
        "model_kwargs--guide_kwargs.n_latent: 4\nguide_kwargs.basal_encoder_n_hidden: 6\n"
        "guide_kwargs.embedding_encoder_n_hidden: 6\nmodel_kwargs.decoder_n_hidden: 6\n"
        "loss_module_kwargs.gloss_coeff: 50\nloss_module_kwargs.penaly_coeff: 5\n"
        "lightning_module_kwargs.lr: 1e-3\ndata_module_kwargs.qc_threshold: 3\nseed: 1\n"
    )
    done = call(
        "train", f"--config={tmp_path / 'theirs.yaml'}", f"--workdir={tmp_path / 'run'}",
        f"--data.path={imported / 'prepared.h5ad'}",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "left out, data_module, devices" in done.err
    run = json.loads((tmp_path / "run/config.json").read_text())
    assert run["model"]["n_latent"] == 4 and run["train"]["learning_rate"] == 1e-3
    assert run["objective"]["penalty_coeff"] == 5.0
    (tmp_path / "wrong.yaml").write_text("model_kwargs.n_latnt: 3\n")
    done = call("train", f"--config={tmp_path / 'wrong.yaml'}", f"--workdir={tmp_path / 'other'}")
    assert done.status == 1 and "the nearest is 'model_kwargs.n_latent'" in done.err


def test_the_recorded_checkpoint_is_imported_and_evaluated(shared, tmp_path):
    """Its weights are random; its sizes are those of the real screen that it is evaluated on."""
    from gpo_vae_jax.config import EvaluateConfig
    from gpo_vae_jax.evaluate.evaluation import evaluate

    with np.load(shared("reference_runs/schraivogel_prepared.npz")) as z:
        real = data.from_arrays(
            counts=z["X"], dosage=z["D"], qc_fail=z["qc"], counterfactual=z["cfX"],
            delta=z["deltaX"], split=z["split"], treatments=list(z["T"]),
            n_perturbed=int(z["n_perturbed"]), genes=list(z["var"]), cell_labels=z["gene"],
        )  # fmt: skip
    found = read_checkpoint(shared("data/original/rpe1_small.ckpt"))
    trained, notes = import_checkpoint(found, real, genes=real.genes)
    assert len(trained.treatments) == 29 and any("other cells" in note for note in notes)
    folded = ("guide", "basal_encoder", "mlp", "first")
    inferred = state_dict.infer(found.state)
    plain = state_dict.from_torch(found.state, inferred)
    for path, value in jax.tree_util.tree_leaves_with_path(plain):
        keys = tuple(entry.key for entry in path)
        if keys[:4] != folded:
            ours = trained.params
            for key in keys:
                ours = ours[key]
            np.testing.assert_array_equal(ours, value, err_msg=str(keys))
    few = EvaluateConfig(iwelbo_particles=5, effect_cells=50, effect_particles=20, quality_cells=10,
                         matched_edges=(5, 10))  # fmt: skip
    result = evaluate(trained, real, few)
    assert np.isfinite(result.summary["predictive_iwelbo"]["mean"])
