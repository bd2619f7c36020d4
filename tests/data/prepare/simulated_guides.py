"""A made-up screen with several guides per gene, each good, dead or off target."""

import numpy as np
from scipy import sparse


def guide_screen(
    seed,
    cells,
    *,
    kinds=("good", "good", "dead"),
    n_targets=8,
    n_genes=800,
    n_controls=300,
    depth=3000.0,
    downstream=20,
    knockdown=0.2,
    dispersion=0.2,
):
    """Return the arguments of compare_guides: counts, genes, guide, target, is_control.

    Expression is log-normal over genes and gamma-Poisson over cells, library sizes are log-normal.
    A good guide lowers its target and changes `downstream` genes by half or twofold; one that is
    off target changes other genes, one that is dead none. Guides are named by gene and kind.
    """
    rng = np.random.default_rng(seed)
    base = rng.lognormal(0, 1.5, n_genes)
    base /= base.sum()

    def draw(n, fold):
        rate = depth * rng.lognormal(0, 0.4, (n, 1)) * base * fold
        return rng.poisson(rate * rng.gamma(1 / dispersion, dispersion, rate.shape))

    def change(n):
        fold = np.ones(n_genes)
        fold[rng.choice(n_genes, n, replace=False)] = 2.0 ** rng.choice([-1, 1], n)
        return fold

    blocks, guide, target = [draw(n_controls, 1.0)], [""] * n_controls, [""] * n_controls
    for t in rng.choice(n_genes, n_targets, replace=False):
        good = change(downstream)
        good[t] = knockdown
        folds = {"good": good, "dead": np.ones(n_genes), "off": change(downstream)}
        for i, kind in enumerate(kinds):
            blocks.append(draw(cells, folds[kind]))
            guide += [f"g{t}_{kind}{i}"] * cells
            target += [f"g{t}"] * cells
    counts = sparse.csr_matrix(np.vstack(blocks).astype(np.uint16))
    target = np.array(target)
    return counts, [f"g{i}" for i in range(n_genes)], np.array(guide), target, target == ""
