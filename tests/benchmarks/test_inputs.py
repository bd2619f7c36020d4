"""The shapes and cells of the benchmarks: sizes, shares, determinism."""

import numpy as np
import pytest

from benchmarks.inputs import cells, shapes

TINY = shapes.SHAPES["tiny"]


def test_published_shapes_come_with_their_preset():
    shape = shapes.SHAPES["k562"]
    assert shapes.published(shape).name == "replogle"
    spec = shapes.spec_of(shape, precision="bf16")
    assert spec.model.n_latent == 100 and spec.train.precision == "bf16"
    sizes = spec.sizes
    assert (sizes.n_genes, sizes.n_treatments, sizes.n_perturbed) == (8563, 1546, 622)


@pytest.mark.parametrize("name", ["rpe1", "k562", "adamson"])
def test_a_worker_without_the_package_knows_the_published_batch(name):
    train = shapes.published(shapes.SHAPES[name]).train
    assert train.batch_size == shapes.PUBLISHED_BATCH
    assert train.n_particles == shapes.PUBLISHED_PARTICLES


def test_the_tiny_shape_has_small_widths_and_batches():
    spec = shapes.spec_of(TINY)
    assert (spec.model.n_latent, spec.model.decoder_n_hidden) == (6, 16)
    assert spec.train.batch_size == 64
    train = shapes.spec_of(TINY, batch_size=10, n_particles=2).train
    assert (train.batch_size, train.n_particles) == (10, 2)


def test_scaling_keeps_the_perturbed_share():
    rpe1 = shapes.SHAPES["rpe1"]
    assert shapes.scaled(rpe1, treatments=328).perturbed == round(383 * 328 / 655)
    assert shapes.scaled(rpe1, genes=100)._replace(genes=rpe1.genes) == rpe1
    with pytest.raises(ValueError, match="perturbed=700"):
        shapes.scaled(rpe1, perturbed=700)


def test_cells_look_like_a_screen():
    shape = shapes.scaled(shapes.SHAPES["rpe1"], genes=2000)
    made = cells.cells(shape, 1500)
    kinds = {name: (array.dtype.name, array.shape[1:]) for name, array in made.items()}
    assert kinds == {
        "counts": ("uint16", (2000,)),
        "perturbation": ("int32", ()),
        "qc_fail": ("float32", (1,)),
        "counterfactual": ("uint16", (2000,)),
        "delta": ("float32", (655,)),
        "library_size": ("float32", ()),
    }
    assert (made["counts"] > 0).mean() == pytest.approx(0.37, abs=0.03)
    assert (made["perturbation"] < 0).mean() == pytest.approx(1 / 8, abs=0.03)
    assert made["perturbation"].max() < shape.perturbed
    assert made["qc_fail"].mean() == pytest.approx(0.12, abs=0.03)
    assert (made["counterfactual"].max(1) == 0).mean() == pytest.approx(0.1, abs=0.03)
    assert (made["library_size"] == made["counts"].sum(1)).all()
    assert (made["delta"] >= 0).all() and (made["delta"] > 0.5).any()


def test_cells_depend_on_the_seed_alone():
    first, again, other = (cells.cells(TINY, 100, seed) for seed in (3, 3, 4))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["counts"] != other["counts"]).any()


def test_statistics_are_numpys():
    counts = cells.cells(TINY, 1500)["counts"]  # more rows than are read at a time
    counts[:, 5] = 7
    found, x = cells.statistics(counts), counts.astype(np.float64)
    std = x.std(0, ddof=1)
    std[5] = 1
    np.testing.assert_allclose(found["x_mean"], x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found["x_std"], std, rtol=1e-6)
    np.testing.assert_allclose(found["log_x_mean"], np.log1p(x).mean(0), rtol=1e-6)
    assert found["log_x_std"][5] == 1
