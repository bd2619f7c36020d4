"""Perturbed against control cells of one split, for every pair of treatments."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.data import counts as count_matrix
from gpo_vae_jax.data import labels
from gpo_vae_jax.statistics.gene_sums import GeneSums, Groups, compare_genes
from gpo_vae_jax.statistics.two_sample import TwoSample, finish, groups_of
from gpo_vae_jax.types import Dataset

_DEFAULT = EvaluateConfig()
_MAX_THREADS = 8
_BLOCK_BYTES = 1 << 22  # of rows of counts that are copied at a time


def compare_cells(
    dataset: Dataset,
    settings: EvaluateConfig = _DEFAULT,
    split: str = "test",
    pairs: np.ndarray | None = None,
) -> TwoSample:
    """Test the expression of every treatment t under every perturbation r, [R, T].

    Expression is log(1 + counts), counts scaled to the median library size of all cells of the data
    set, in float32, so that cells with equal shares of a gene tie. Labels decide which cells are
    perturbed (`mask_test` does not hide them); a cell with several perturbations counts for each.

    Genes are processed in chunks of at most `settings.memory_gib` and in threads; neither changes
    the result.

    Args:
      dataset: the data.
      settings: memory_gib.
      split: the cells to compare.
      pairs: [R, T] bool, the pairs to compare (faster than all); by default all.

    Returns:
      P-values (Mann-Whitney U, two-sided) and Wasserstein distances; nan for genes that are not
      measured, perturbations without cells, and pairs that were not requested.
    """
    groups = _groups(dataset, split)
    cells = dataset.splits[split].cells
    factor = _factor(dataset, split)[groups.cell]
    columns = count_matrix.gene_columns(dataset.treatments, dataset.genes)
    wanted = None if pairs is None else np.vstack([pairs, np.ones(len(columns), bool)]).T
    measured = np.flatnonzero((columns >= 0) & (True if pairs is None else pairs.any(axis=0)))
    counts = np.asarray(cells.counts)
    n = max(1, len(groups.cell))
    chunk = max(1, int(settings.memory_gib * 2**30 / (counts.itemsize * n)))

    def compare(job: tuple[np.ndarray, np.ndarray]) -> GeneSums:
        which, of_members = job
        above = of_members != 0
        if wanted is not None:
            above &= wanted[which].take(groups.number, axis=1)
        by_gene = np.count_nonzero(above, axis=1)
        at = np.flatnonzero(above)
        member = at - np.repeat(np.arange(len(which)) * n, by_gene)
        values = count_matrix.log_normalised(of_members.reshape(-1).take(at), factor.take(member))
        lowest = np.zeros(len(which))
        return compare_genes(by_gene, member, values.astype(np.float32), groups, lowest)

    found: list[GeneSums] = []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MAX_THREADS)) as pool:
        for start in range(0, len(measured) if len(groups.cell) else 0, chunk):
            which = measured[start : start + chunk]
            by_gene = _by_gene(counts, groups.cell, columns[which], pool)
            parts = [slice(i, i + groups.batch) for i in range(0, len(which), groups.batch)]
            found += pool.map(compare, [(which[part], by_gene[part]) for part in parts])
    tables = finish(found, groups, measured, len(columns))
    if pairs is not None:
        for table in tables:
            table[~pairs] = np.nan
    return tables


def _by_gene(
    counts: np.ndarray, cells: np.ndarray, columns: np.ndarray, pool: ThreadPoolExecutor
) -> np.ndarray:
    """Return columns of the counts, [N, G], for M cells, gene by gene: [len(columns), M]."""
    result = np.empty((len(columns), len(cells)), counts.dtype)
    step = max(1, _BLOCK_BYTES // (counts.shape[1] * counts.itemsize))

    def read(start: int) -> None:
        at = slice(start, start + step)
        result[:, at] = np.take(counts[cells[at]], columns, axis=1).T

    list(pool.map(read, range(0, len(cells), step)))
    return result


def _groups(dataset: Dataset, split: str) -> Groups:
    """Return the cells of a split grouped by the perturbed genes of their labels."""
    names, codes = labels.group_by_label(dataset.labels[split])
    genes = [dataset.label_genes[name] for name in map(str, names)]
    is_control = np.array([not of_label for of_label in genes], bool)[codes]
    perturbation, dosage = labels.dosage_indices(codes, genes, dataset.treatments)
    return groups_of(perturbation, dosage, is_control, dataset.n_perturbed)


def _factor(dataset: Dataset, split: str) -> np.ndarray:
    """Return the factor that scales each cell of a split to the median library size, [N]."""
    library = [np.asarray(part.cells.library_size, np.float64) for part in dataset.splits.values()]
    factor = count_matrix.normalisation(np.concatenate(library))
    parts = np.split(factor, np.cumsum([len(values) for values in library])[:-1])
    return parts[list(dataset.splits).index(split)]
