"""The data structures of the library, plain tuples of arrays, and the shape letters.

Shape letters, used in every docstring:

    N  cells of a split            P  particles (Monte Carlo samples)
    B  cells of a batch            L  latent size
    G  measured genes              H  hidden width of a network
    T  treatments = dosage columns K  largest number of perturbations of a cell
    O  genes outside the network
    R  perturbed treatments, the first R <= T dosage columns; the others ("extended" genes) are
       only part of the network
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
    """The sizes of a data set; hashable, so that they can be a static argument."""

    n_genes: int  # G
    n_treatments: int  # T
    n_perturbed: int  # R
    n_quality: int = 1  # Q
    network_genes: tuple[int, ...] = ()  # [T] position of each treatment among the genes, -1 where
    # it is not measured; empty where no program needs it (`Spec.of`)
    unseen: tuple[int, ...] = ()  # positions of the treatments that no training cell carries; empty
    # where no program needs it, too
    categories: tuple[tuple[int, ...], ...] = ()  # training cells in each category, by covariate
    n_filling: int = 0  # genes at the end that only fill up arrays (`train.filling`)

    @property
    def n_real_genes(self) -> int:
        """Return the number of genes that do not only fill up arrays."""
        return self.n_genes - self.n_filling

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Sizes:
        """Return the sizes that run.json holds."""
        values: dict[str, Any] = dict(record)
        for name in ("network_genes", "unseen"):
            values[name] = tuple(values.get(name, ()))
        values["categories"] = tuple(tuple(cells) for cells in values.get("categories", ()))
        return cls(**values)


class Batch(NamedTuple):
    """Some cells, one row each: a batch (B rows) or a whole split (N rows).

    Counts may have any integer or floating type; they are cast to float32 where they are used.
    """

    counts: Array  # [B, G] raw UMI counts
    library_size: Array  # [B] total UMI counts of the cell
    perturbation: Array  # [B, K] int32, dosage columns of the cell's perturbed genes
    dosage: Array  # [B, K] float32, 1 where `perturbation` counts, 0 for padding
    qc_fail: Array  # [B, Q] 1 = the cell failed quality control, 0 = passed
    counterfactual: Array  # [B, G] counts of the same perturbation at failed quality, or all zeros
    delta: Array  # [B, T] |log-expression of the cell - of its matched control|
    weight: Array  # [B] 1, or 0 for a row that pads the last batch of an epoch
    rows: Array | None = None  # [R'] int32, the dosage columns that `perturbation` then indexes: a
    # superset of those with cells in the batch; None: the first R
    covariates: Array | None = None  # [B, K] int32, the cell's rows of the table of categories, one
    # for each covariate; -1: no training cell has the category. None: the data has no covariates


class InputStatistics(NamedTuple):
    """Mean and unbiased standard deviation of each gene over the training cells."""

    mean: Array  # [G] of counts
    std: Array  # [G]
    log_mean: Array  # [G] of log(counts + 1)
    log_std: Array  # [G]


class Context(NamedTuple):
    """What the objective needs to know about the split a batch is drawn from."""

    statistics: InputStatistics  # of the TRAINING split, whatever the split
    treatment_cells: Array  # [T] cells of the split with a non-zero dosage of each treatment
    quality_cells: Array  # [Q] cells of the split that failed each quality column
    measured: Array  # [T] 1, or 0 if the treatment's gene is not measured: no alignment loss
    training_cells: Array | float = 1.0  # number of TRAINING cells, whatever the split


class Posterior(NamedTuple):
    """A diagonal Gaussian."""

    mean: Array
    variance: Array


class SharedNoise(NamedTuple):
    """Random draws for one sample of the variables shared by all cells.

    Propagated effects need every row of the network: R is then T.
    """

    mask: Array  # [P, R, T] standard logistic
    embedding: Array  # [P, R, T] standard normal
    quality: Array  # [P, Q, L] standard normal


class ReadoutNoise(NamedTuple):
    """Random draws for one sample of the readout, which all particles share."""

    mask: Array  # [T, O] standard logistic
    weight: Array  # [T, O] standard normal


class Noise(NamedTuple):
    """All random draws of one evaluation of the objective."""

    shared: SharedNoise  # guide pass 1
    basal: Array  # [P, B, L] standard normal
    counterfactual: SharedNoise  # guide pass 2
    readout: ReadoutNoise | None = None  # None unless effects are propagated


class Split(NamedTuple):
    """The cells of one split and their context."""

    cells: Batch  # N rows
    context: Context


@dataclasses.dataclass(frozen=True)
class Conventions:
    """How names are read, and the limits of quality control."""

    control: str = "non-targeting"  # the label of control cells
    separator: str = "+"  # between perturbed genes in a label; empty: labels are never split
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)  # other name -> gene
    symbols: tuple[str, ...] = ()  # [G] identify mitochondrial and other gene groups
    quality_limits: Mapping[str, Mapping[str, float]] = dataclasses.field(
        default_factory=dict
    )  # by MADs ("3", "4", "5"), then by metric
    doublets: bool = False  # whether doublets fail quality control


@dataclasses.dataclass(frozen=True)
class ScreenQuality:
    """What preparation found of a screen's guides and of its kinds of control cells.

    Rows by column (docs/data.md), as `data.prepare.guide_agreement` and `control_kinds` make them;
    none where the screen has no guides or one kind of control, or in files of earlier versions.
    """

    guides: tuple[Mapping[str, Any], ...] = ()
    control_kinds: tuple[Mapping[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A prepared data set in host memory: three splits and the names of rows and columns.

    `labels` and `label_genes` describe the file: `mask_test` hides dosages, never labels. Labels
    are parsed once, when the data set is built; everything else looks them up in `label_genes`. It
    contains every label of any split, and those of `true_effects` whose genes are treatments.
    `tables[split]` is the Wasserstein distance of perturbed from control cells for every
    (perturbation, treatment) pair, [R, T], nan where there is nothing to compare. It scores the
    edges of the network while they are learned.
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
    screen: ScreenQuality = ScreenQuality()
    covariates: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    # column -> categories that training cells have, in the order of `Batch.covariates`

    @property
    def sizes(self) -> Sizes:
        """Return the sizes of a model for this data set."""
        n_quality = self.splits["train"].cells.qc_fail.shape[1]
        place = {gene: i for i, gene in enumerate(self.genes)}
        cells = np.asarray(self.splits["train"].context.treatment_cells)
        return Sizes(
            len(self.genes),
            len(self.treatments),
            self.n_perturbed,
            n_quality,
            network_genes=tuple(place.get(name, -1) for name in self.treatments),
            unseen=tuple(np.flatnonzero(cells == 0).tolist()),
            categories=self._categories(),
        )

    def _categories(self) -> tuple[tuple[int, ...], ...]:
        """Return the number of training cells in each category, by covariate."""
        codes = self.splits["train"].cells.covariates
        if codes is None:
            return ()
        lengths = [len(names) for names in self.covariates.values()]
        cells = np.bincount(np.asarray(codes).ravel(), minlength=sum(lengths))
        parts = np.split(cells, np.cumsum(lengths)[:-1])
        return tuple(tuple(part.tolist()) for part in parts)
