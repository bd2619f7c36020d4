"""The perturbations under which cells are drawn, as arrays for the decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.data.gene_names import meant_gene
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.types import Array


class Conditions(NamedTuple):
    """C perturbations to draw cells of; the decoder reads them like the cells of a batch."""

    rows: Array  # [S] int32 treatments (dosage columns) in any of them, perturbed in data or not
    perturbation: Array  # [C, K] int32, positions in `rows`
    dosage: Array  # [C, K] float32
    number: Array  # [C] uint32, from the treatments: the address of the noise of counts


def conditions_of(groups: Sequence[Sequence[str]], treatments: Sequence[str]) -> Conditions:
    """Make conditions from the names of the perturbed genes of each; no name for the control.

    Raises:
      DataError: a name is no treatment of the model.
    """
    column = {name: i for i, name in enumerate(treatments)}
    unknown = sorted({gene for genes in groups for gene in genes} - set(column))
    if unknown:
        raise DataError(
            f"{unknown[0]!r} is no treatment of this model; {meant_gene(unknown[0], treatments)}"
        )
    chosen = [tuple(sorted(column[gene] for gene in genes)) for genes in groups]
    rows = sorted({t for columns in chosen for t in columns}) or [0]
    place = {t: i for i, t in enumerate(rows)}
    width = max([1, *map(len, chosen)])
    perturbation = np.zeros((len(chosen), width), np.int32)
    dosage = np.zeros((len(chosen), width), np.float32)
    for i, columns in enumerate(chosen):
        perturbation[i, : len(columns)] = [place[t] for t in columns]
        dosage[i, : len(columns)] = 1
    number = [_number(columns) for columns in chosen]
    return Conditions(
        np.asarray(rows, np.int32), perturbation, dosage, np.asarray(number, np.uint32)
    )


def with_control(conditions: Conditions) -> Conditions:
    """Add the control as the last condition."""

    def row(values: Array) -> np.ndarray:
        return np.concatenate([values, np.zeros_like(values[:1])])

    return Conditions(
        conditions.rows,
        row(conditions.perturbation),
        row(conditions.dosage),
        np.append(conditions.number, np.uint32(_number(()))),
    )


def cut(conditions: Conditions, width: int) -> Iterator[tuple[Conditions, np.ndarray]]:
    """Cut conditions into parts of one shape.

    Yields:
      Each part of `width` conditions and their positions [width]; the last part is filled up with
      the last condition.
    """
    n = len(conditions.number)
    if width >= n:
        yield conditions, np.arange(n)
        return
    n_rows = min(len(conditions.rows), width * conditions.dosage.shape[1])
    for start in range(0, n, width):
        which = np.minimum(np.arange(start, start + width), n - 1)
        used, place = np.unique(conditions.perturbation[which], return_inverse=True)
        rows = np.resize(conditions.rows[used], n_rows)
        part = Conditions(
            rows,
            place.reshape(width, -1).astype(np.int32),
            conditions.dosage[which],
            conditions.number[which],
        )
        yield part, which


def _number(columns: tuple[int, ...]) -> int:
    """Return a 32-bit number of a set of treatments."""
    digest = hashlib.blake2b(repr(columns).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
