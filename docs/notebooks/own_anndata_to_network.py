# %% [markdown]
# # From your own AnnData to a network
#
# This notebook takes a Perturb-seq screen that is already in memory, prepares it, trains GPO-VAE on
# it, and reads the gene regulatory network, predicted cells and an evaluation from the result. It
# takes about a minute on two CPU cores, half of it to compile what a second run finds compiled.
#
# So that it runs anywhere, and so that the right answer is known, the screen is simulated. Every
# step is the same for a real one: put `anndata.read_h5ad("raw.h5ad")` in place of the next cell.

# %%
import dataclasses
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

import gpo_vae_jax as gv

adata = gv.simulate(n_cells=4000, n_genes=80, n_perturbed=16, n_extended=8, seed=3)
# many real files call the column "gene"
adata.obs = adata.obs.rename(columns={"perturbation": "gene"})
adata

# %% [markdown]
# What the package needs: raw counts in `X`, and a column of `obs` that names the perturbed gene of
# each cell, with one label for all control cells.

# %%
adata.to_df().iloc[:3, :8]

# %%
adata.obs["gene"].value_counts().head().to_frame()

# %% [markdown]
# ## Prepare
#
# Preparation flags cells that fail quality control (it keeps them: the model learns what failing
# looks like), splits cells into train, validation and test, adds the most responsive genes to the
# network, and matches each cell with a control cell. Your AnnData is not changed. `progress=False`
# only silences the list of stages.
#
# One setting differs from the defaults: a gene joins the network if a perturbation changes it by
# more than 2-fold (`extended_log_fold_change=1.0`, in log2). The default of 8-fold suits a whole
# transcriptome.

# %%
prepared = gv.prepare(
    adata,
    perturbation_key="gene",
    control="non-targeting",
    extended_log_fold_change=1.0,
    progress=False,
)
prepared.obs[["perturbation", "split", "qc_fail", "matched_control"]].head()

# %% [markdown]
# ## Choose settings and train
#
# `presets.anndata()` is the accurate model: a perturbation reaches the counts through the network
# and in no other way. Sizes, batches and epochs are chosen from the data. Settings are frozen
# dataclasses: `dataclasses.replace` makes a changed copy. Here fewer epochs are enough.

# %%
preset = gv.presets.anndata()
config = dataclasses.replace(
    preset,
    name="small screen",
    train=dataclasses.replace(preset.train, max_epochs=60),
)
trained = gv.train(prepared, config, progress=False)
trained

# %% [markdown]
# The history has one row per epoch. The validation loss should fall and flatten. The term
# `invariance` measures how far perturbed cells are from control cells in the latent space: it
# keeps effects from bypassing the network, and should stay small.

# %%
history = trained.history
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for axis, term in zip(axes, ("loss", "invariance"), strict=True):
    axis.plot(history["epoch"], history[f"train_{term}"], label="training")
    axis.plot(history["epoch"], history[f"val_{term}"], label="validation")
    best = trained.best.best_epoch
    axis.axvline(best, color="grey", linestyle=":", label="best epoch")
    axis.set(title=term, xlabel="epoch")
axes[0].legend()
plt.show()

# %% [markdown]
# ## The network
#
# A table of all ordered pairs, from the strongest down. `effect` is the direct effect where the
# edge is there: how much the target's log expression changes per unit of its regulator's.
# `strength`, which ranks the pairs, is the probability times its size. Only edges whose source was
# perturbed are learned from that gene's own cells, so we keep those.

# %%
network = gv.network(trained)
network = network[network["source_perturbed"]].reset_index(drop=True)
print(f"{(network['probability'] > 0.5).sum()} of {len(network)} pairs above 0.5")
network.head(8)

# %% [markdown]
# ### How good is it?
#
# Here the true network is known. Two rankings of the same pairs are compared with it: by strength,
# and by the absolute log fold change between a perturbation's cells and the controls, which needs
# no model at all.

# %%
data = gv.dataset(prepared)
pairs = network[["source", "target"]].to_numpy()
counts = prepared.to_df()
totals = counts.sum(axis=1)
expression = np.log1p(counts.div(totals, axis=0) * totals.median())
training = (prepared.obs["split"] == "train").to_numpy()
labels = prepared.obs["perturbation"].astype(str).to_numpy()
means = expression[training].groupby(labels[training]).mean()
fold_change = (means - means.loc["non-targeting"]).abs()
network["fold change"] = [fold_change.loc[a, b] for a, b in pairs]

names = list(data.treatments)
truth = pd.DataFrame(data.true_network != 0, index=names, columns=names)
is_edge = np.array([truth.loc[a, b] for a, b in pairs])
rankings = {
    "strength of the edge": network["strength"],
    "absolute log fold change": network["fold change"],
}
auprc = {
    name: average_precision_score(is_edge, by) for name, by in rankings.items()
}
pd.DataFrame({"AUPRC": {**auprc, "chance": is_edge.mean()}}).round(2)

# %% [markdown]
# The fold change counts every response, direct or not. The model explains the responses of indirect
# targets by the paths that lead to them, so its edges are closer to direct regulation. The report
# puts more rankings beside it, among them ridge deconvolution, which is linear, needs no model
# either, and is hard to beat on a simulation that is itself linear.

# %% [markdown]
# ## Predict cells
#
# Any perturbed gene, and any combination of them, can be predicted. The result is an AnnData of
# counts; `obs["kind"]` says what the model knows about each perturbation.

# %%
a, b = network.loc[0, "source"], network.loc[3, "source"]
cells = gv.predict(trained, prepared, [a, b, f"{a}+{b}"], n_cells=300)
cells.obs[["perturbation", "kind"]].value_counts().to_frame()

# %%
of_perturbation = cells.obs["perturbation"].astype(str)
drawn = np.log1p(cells.to_df()).groupby(of_perturbation).mean()
effect = drawn - drawn.loc["non-targeting"]
top = effect.loc[f"{a}+{b}"].abs().nlargest(8).index
shown = effect.loc[[a, b, f"{a}+{b}"], top].T
axis = shown.plot.bar(figsize=(9, 3), ylabel="predicted change")
axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Evaluate
#
# `evaluate` measures predicted effects on cells that training never saw, beside the baselines that
# a model has to beat. 500 draws behind each effect instead of 2,500, and 20 behind the predictive
# bound instead of 100, are enough for an example.

# %%
result = gv.evaluate(trained, prepared, effect_particles=500, iwelbo_particles=20)
result

# %% [markdown]
# Four predictions of one model stand beside the baselines. `network` takes the latents of control
# cells, so the network makes all of the effect. The training mean is what a model has to beat: it
# has seen the same cells.
#
# ## Save, report, load
#
# Nothing has been written so far. `save` writes a run folder that every command of `gpo-vae` can
# open, and `report` one page with all plots and tables.

# %%
folder = Path(tempfile.mkdtemp()) / "small_screen"
gv.save(trained, folder)
page = gv.report(result, folder)
again = gv.load(folder)
assert gv.network(again).equals(gv.network(trained))
print(page.name, f"{page.stat().st_size / 1e6:.1f} MB")
sorted(path.name for path in folder.iterdir())
