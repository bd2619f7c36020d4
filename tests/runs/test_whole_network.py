"""A run whose network has every measured gene, or perturbed genes that are not measured."""

import dataclasses

import chex
import numpy as np
import pytest

import gpo_vae_jax as gv
from gpo_vae_jax import data
from gpo_vae_jax.presets import PRESETS
from gpo_vae_jax.runs.fit import fit
from gpo_vae_jax.runs.saved import load
from tests.data.prepare.raw.screens import of_genes, relabelled, screen


def settings(max_epochs):
    config = PRESETS["anndata"]()
    return dataclasses.replace(
        config,
        model=dataclasses.replace(
            config.model, n_latent=4, basal_encoder_n_hidden=8, decoder_n_hidden=8
        ),
        train=dataclasses.replace(config.train, max_epochs=max_epochs, batch_size=64),
    )


@pytest.mark.parametrize("kind", ["all genes", "unmeasured", "unseen combinations"])
def test_it_is_kept_resumed_and_evaluated(kind, tmp_path):
    change = {
        "all genes": lambda x, i: x,
        "unmeasured": of_genes(lambda x, i: "ABSENT1" if x == "MYC" else x),
        "unseen combinations": of_genes(
            lambda x, i: "+".join({"GATA1", f"GENE{i % 9:03d}", f"GENE{i % 11:03d}"})
        ),
    }[kind]
    raw = relabelled(change, screen(others=11))
    choice = "all" if kind == "all genes" else "extended"
    dataset = data.from_anndata(gv.prepare(raw, network_genes=choice, progress=False))
    if kind == "all genes":
        assert set(dataset.treatments) == set(dataset.genes)
    whole = fit(dataset, settings(4), tmp_path / "whole", progress=False)
    fit(dataset, settings(2), tmp_path / "parts", progress=False)
    parts = fit(dataset, settings(4), tmp_path / "parts", resume=True, progress=False)
    if kind == "all genes":
        assert load(tmp_path / "whole").params["decoder"]["readout"]["mean"].shape[1] == 0
    chex.assert_trees_all_equal(load(tmp_path / "whole").params, whole.params)
    chex.assert_trees_all_equal_shapes(parts.params, whole.params)
    quick = {"effect_particles": 20, "iwelbo_particles": 3, "quality_cells": 5,
             "omission_pairs": 5, "matched_edges": (5,)}  # fmt: skip
    result = gv.evaluate(gv.load(tmp_path / "whole"), dataset, progress=False, **quick)
    assert np.isfinite(result.summary["predictive_iwelbo"]["mean"])
