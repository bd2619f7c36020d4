# %% [markdown]
# # Five seeds and their agreement
#
# Training starts from random parameters and draws random numbers in every step. How much of the
# network depends on that? This notebook trains the same model from five seeds and compares what
# they learned. It takes about a minute on two CPU cores.

# %%
import dataclasses

import matplotlib.pyplot as plt
import pandas as pd

import gpo_vae_jax as gv

adata = gv.simulate(n_cells=4000, n_genes=80, n_perturbed=16, n_extended=8, seed=3)
prepared = gv.prepare(adata, extended_log_fold_change=1.0, progress=False)
data = gv.dataset(prepared)  # made once, read by five trainings

# %% [markdown]
# ## Train five seeds in one call
#
# `seeds` makes one member for each seed. On a GPU they train at once, as one vmapped program; on a
# CPU, where that gains nothing, one after the other with the same compiled program. Either way
# each member is the run of its seed alone, up to rounding.

# %%
preset = gv.presets.anndata()
config = dataclasses.replace(
    preset,
    name="small screen",
    train=dataclasses.replace(preset.train, max_epochs=60),
)
trained = gv.train(data, config, seeds=range(5), progress=False)
trained

# %%
figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
for seed, epochs in trained.history.groupby("seed"):
    axis.plot(epochs["epoch"], epochs["val_loss"], label=f"seed {seed}")
axis.set(xlabel="epoch", ylabel="validation loss")
axis.legend(ncols=2)
plt.show()

# %% [markdown]
# The members end at nearly the same validation loss. `trained.best` is the lowest; iterating over
# `trained` yields each member as a model of its own.

# %%
pd.DataFrame(
    [(m.seed, m.best_loss, m.best_epoch) for m in trained.members],
    columns=["seed", "best validation loss", "epoch"],
).set_index("seed").round(2)

# %% [markdown]
# ## One network from five
#
# For several members `network` has the mean probability of every edge, its standard deviation over
# seeds, and `n_called`: how many seeds put it above 0.5.

# %%
network = gv.network(trained)
network = network[network["source_perturbed"]].reset_index(drop=True)
network[["source", "target", "probability", "probability_sd", "n_called"]].head(8)

# %%
by_seeds = network["n_called"].value_counts().reindex(range(6), fill_value=0)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
axes[0].bar(by_seeds.index[1:], by_seeds.iloc[1:])
axes[0].set(xlabel="seeds that call the edge", ylabel="edges")
axes[1].scatter(network["probability"], network["probability_sd"], s=10)
axes[1].axvline(0.5, color="grey", linestyle=":")
axes[1].set(xlabel="mean probability", ylabel="standard deviation over seeds")
plt.show()

# %% [markdown]
# Most edges are called by all seeds or by none. The reason is not that the network must be right:
# all seeds have seen the same cells, and start near the same linear solution. Edges that only some
# seeds call are those between which the data hardly decides.
#
# ## The numbers, side by side
#
# `compare` takes evaluations and returns two tables. `edges` has a row for every two models: the
# Jaccard index of the edges that they call and of their most probable edges, beside what random
# networks of that size would share, and the correlation of their probabilities.

# %%
results = {}
for one in trained:
    name = f"seed {one.best.seed}"
    results[name] = gv.evaluate(
        one, data, effect_particles=500, iwelbo_particles=20
    )
comparison = gv.compare(results)
called = comparison.edges[comparison.edges["edges"] == "called"]
shown = ["run_a", "run_b", "n_shared", "jaccard", "random_jaccard", "spearman"]
called[shown].round(2)

# %% [markdown]
# `metrics` has every metric with its mean and its spread, and the comparison shows the main ones.

# %%
comparison

# %% [markdown]
# The spread over seeds is what training adds by chance. So never compare two models by one seed
# each: a difference smaller than the spread is no difference.
#
# ## Do agreeing seeds agree on the truth?
#
# The screen is simulated, so we can look: of the edges that k seeds call, how many exist?

# %%
names = list(data.treatments)
truth = pd.DataFrame(data.true_network != 0, index=names, columns=names)
pairs = network[["source", "target"]].to_numpy()
network["exists"] = [truth.loc[a, b] for a, b in pairs]
network.groupby("n_called")["exists"].agg(edges="size", share="mean").round(2)

# %% [markdown]
# Pairs that no seed calls hardly ever are edges. But of those that all five seeds call, a good part
# does not exist: every seed sees the same noise in the same cells. **Agreement
# measures reproducibility, not truth.** It protects against reading the noise of training into a
# network, and against nothing else. The noise of the data shows only in training on other cells:
# a replicate, or a bootstrap sample of `adata`.
