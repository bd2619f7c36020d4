"""The data that travels through the library: shape letters and plain tuples of arrays, no logic.

Shape letters, used in every docstring:

    N  cells of a split            P  particles (Monte Carlo samples)
    B  cells of a batch            L  latent size
    G  measured genes              H  hidden width of a network
    T  treatments = dosage columns K  perturbations of one cell, at most
    R  perturbed treatments, R <= T: the first R dosage columns; the others ("extended" genes)
       take part in the network only
    Q  quality columns (1 in every published data set)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

Array = jax.Array | np.ndarray
Params = Mapping[str, Any]
Metrics = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """State how large the data is; hashable, so that it can be a static argument."""

    n_genes: int  # G
    n_treatments: int  # T
    n_perturbed: int  # R
    n_quality: int = 1  # Q


class Batch(NamedTuple):
    """Hold some cells, one row each: a batch (B rows) or a whole split (N rows).

    Counts may be of any integer or floating type; they become float32 where they are used.
    """

    counts: Array  # [B, G] raw UMI counts
    library_size: Array  # [B] total UMI counts of the cell
    perturbation: Array  # [B, K] int32, dosage columns of the cell's perturbed genes
    dosage: Array  # [B, K] float32, 1 where `perturbation` counts, 0 where it only fills the row
    qc_fail: Array  # [B, Q] 1 = the cell failed quality control, 0 = passed
    counterfactual: Array  # [B, G] counts of the same perturbation at failed quality, or all zeros
    delta: Array  # [B, T] |log-expression of the cell - of its matched control|
    weight: Array  # [B] 1, or 0 for a row that only fills the last batch of an epoch
    rows: Array | None = None  # [R'] int32, dosage columns that may have cells here, in whose rows
    # `perturbation` then counts; None: the first R


class InputStatistics(NamedTuple):
    """Hold mean and unbiased standard deviation of each gene over the training cells."""

    mean: Array  # [G] of counts
    std: Array  # [G]
    log_mean: Array  # [G] of log(counts + 1)
    log_std: Array  # [G]


class Context(NamedTuple):
    """Hold what the objective must know about the split from which a batch is drawn."""

    statistics: InputStatistics  # of the TRAINING split, whatever the split
    treatment_cells: Array  # [T] cells of the split with a non-zero dosage of each treatment
    quality_cells: Array  # [Q] cells of the split that failed each quality column
    measured: Array  # [T] 1, or 0 for a treatment whose gene is not measured: it aligns nothing


class Posterior(NamedTuple):
    """Hold a diagonal Gaussian."""

    mean: Array
    variance: Array


class SharedNoise(NamedTuple):
    """Hold the draws behind one sample of the variables shared by cells."""

    mask: Array  # [P, R, T] standard logistic
    embedding: Array  # [P, R, T] standard normal
    quality: Array  # [P, Q, L] standard normal


class Noise(NamedTuple):
    """Hold every random draw of one evaluation of the objective."""

    shared: SharedNoise  # guide pass 1
    basal: Array  # [P, B, L] standard normal
    counterfactual: SharedNoise  # guide pass 2


class Split(NamedTuple):
    """Hold the cells of one split with what the objective must know about it."""

    cells: Batch  # N rows
    context: Context


@dataclasses.dataclass(frozen=True)
class Conventions:
    """Hold how names are read, and when a cell fails quality control."""

    control: str = "non-targeting"  # the label of control cells
    separator: str = "+"  # between the names of perturbed genes in a label; empty: never split
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)  # other name -> gene
    symbols: tuple[str, ...] = ()  # [G] by which mitochondrial and other genes are known
    quality_limits: Mapping[str, Mapping[str, float]] = dataclasses.field(
        default_factory=dict
    )  # by MADs ("3", "4", "5"), then by metric
    doublets: bool = False  # whether doublets failed quality control


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A prepared data set in host memory: three splits and the names of rows and columns.

    `labels` and `label_genes` describe the file: `mask_test` hides dosages, never labels. Labels
    are parsed once, when the data set is built; everything else looks them up in `label_genes`. It
    contains every label of any split, and those of `true_effects` whose genes are treatments.
    `tables[split]` holds
    the Wasserstein distance of every (perturbation, treatment) pair, [R, T], nan where there is
    nothing to compare: it scores the edges of the network as they are learned.
    """

    splits: Mapping[str, Split]  # "train", "val", "test"
    cells: Mapping[str, np.ndarray]  # the cell names of each split, [N]
    treatments: tuple[str, ...]  # T names: perturbed genes sorted, then extended genes sorted
    n_perturbed: int
    genes: tuple[str, ...]  # G names
    tables: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]  # the perturbation of each cell of each split, [N] text
    label_genes: Mapping[str, tuple[str, ...]]  # label -> perturbed genes, sorted; () = the control
    conventions: Conventions = Conventions()
    true_network: np.ndarray | None = None  # [T, T] signed truth of simulated data
    true_effects: Mapping[str, np.ndarray] | None = None  # label -> [n] true latent, simulated data

    @property
    def sizes(self) -> Sizes:
        """Return the sizes a model for this data set needs."""
        n_quality = self.splits["train"].cells.qc_fail.shape[1]
        return Sizes(len(self.genes), len(self.treatments), self.n_perturbed, n_quality)
