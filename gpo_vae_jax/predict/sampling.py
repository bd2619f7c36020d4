"""Cells drawn from a trained model: any perturbation, library size and quality (docs/method.md 8).

Particle n draws M, E and qcE from the guide and z_basal from the prior, and shares them among all
conditions (common random numbers); the noise of counts is each condition's own. Every draw has a
key folded from the number of the particle, of the treatment or of the condition, so how the work
is cut changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpo_vae_jax.data.gene_names import meant_gene
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.model import bind
from gpo_vae_jax.model.count_sampling import sample_counts
from gpo_vae_jax.model.precision import exact_products
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.types import Array, Params, SharedNoise

_CPU_ROWS = 512  # cells drawn at a time on a CPU: more leave its cache and gain nothing
MOST_PARTICLES = 64  # drawn at a time


class Conditions(NamedTuple):
    """Hold C perturbations to draw cells of; stands for a Batch in the decoder.

    `rows` are the treatments that any of them needs, S of them, perturbed in the data or not.
    """

    rows: Array  # [S] int32 treatments (dosage columns)
    perturbation: Array  # [C, K] int32, which of `rows`
    dosage: Array  # [C, K] float32
    number: Array  # [C] uint32, made from the treatments: the noise of counts follows it


class Draw(NamedTuple):
    """Say what is drawn."""

    seed: int = 0
    n_particles: int = 100
    library_size: float | np.ndarray = 10_000.0  # or [P, C], each cell's own
    failed: bool = False  # the quality
    expected: bool = False  # the expected counts instead of sampled ones
    memory_gib: float = 2.0


class Chunk(NamedTuple):
    """Hold the cells of some particles and conditions."""

    particles: slice
    conditions: slice
    values: np.ndarray  # [p, c, G] float32


def conditions_of(groups: Sequence[Sequence[str]], treatments: Sequence[str]) -> Conditions:
    """Make conditions of names: of each, the genes that are perturbed; none for the control.

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

    def row(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.zeros_like(values[:1])])

    return Conditions(
        conditions.rows,
        row(conditions.perturbation),
        row(conditions.dosage),
        np.append(conditions.number, np.uint32(_number(()))),
    )


def _number(columns: tuple[int, ...]) -> int:
    digest = hashlib.blake2b(repr(columns).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


def draw_cells(
    params: Params, conditions: Conditions, draw: Draw, *, spec: Spec
) -> Iterator[Chunk]:
    """Draw cells in chunks: particles run slowest, and every cell comes once."""
    spec = spec.of_model
    order = gene_order(params, draw, spec=spec)
    ordered, back = in_order(params, order), np.argsort(order)
    n_conditions = len(conditions.number)
    step, width = chunk_sizes(conditions, draw.memory_gib, spec=spec)
    for first in range(0, draw.n_particles, step):
        particles = np.arange(first, first + step)
        count = min(step, draw.n_particles - first)
        for part, which in cut(conditions, width):
            library = library_of(draw.library_size, particles, which, draw.n_particles)
            values = _cells(
                ordered,
                part,
                particles,
                library,
                draw.seed,
                order,
                failed=draw.failed,
                expected=draw.expected,
                spec=spec,
            )
            stop = min(which[0] + width, n_conditions)
            values = np.asarray(values)[:count, : stop - which[0]][..., back]
            yield Chunk(slice(first, first + count), slice(int(which[0]), stop), values)


def values_of(
    params: Params,
    conditions: Conditions,
    particles: Array,
    library_size: Array,
    seed: Array,
    genes: Array,
    *,
    spec: Spec,
    failed: bool,
    expected: bool,
) -> Array:
    """Draw the cells of particles [p] under all conditions, [p, C, G]; traced, not compiled.

    Args:
      library_size: [p, C].
      genes: [G] the numbers of the genes in the order of the parameters (see `in_order`).
    """
    model = bind(params, spec)
    sizes, n_latent = spec.sizes, spec.model.n_latent
    keys = jax.vmap(lambda n: jax.random.split(jax.random.fold_in(jax.random.key(seed), n), 5))(
        particles
    )
    rows = conditions.rows

    def by_row(draw, keys: Array) -> Array:
        """Draw [p, S, T], each row by its treatment."""

        def of_row(key, row):
            return draw(jax.random.fold_in(key, row), (sizes.n_treatments,))

        return jax.vmap(jax.vmap(of_row, (None, 0)), (0, None))(keys, rows)

    def normal(keys: Array, *shape: int) -> Array:
        return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)

    noise = SharedNoise(
        mask=by_row(jax.random.logistic, keys[:, 0]),
        embedding=by_row(jax.random.normal, keys[:, 1]),
        quality=normal(keys[:, 2], sizes.n_quality, n_latent),
    )
    shared = model.guide.sample_shared(noise, rows)
    basal = normal(keys[:, 3], 1, n_latent)  # [p, 1, L]: the same under all conditions
    quality = jnp.full(len(conditions.number), float(failed))
    hidden = model.decoder.hidden(basal, shared.effect, shared.quality, quality, conditions)
    given = model.decoder.distribution(hidden, library_size)
    if expected:
        return given.mean
    fold = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))
    return sample_counts(fold(keys[:, 4], conditions.number), given, genes, spec.model)


def gene_order(params: Params, draw: Draw, *, spec: Spec) -> np.ndarray:
    """Sort the genes by what a control cell is expected to hold of them, [G] uint32."""
    control = conditions_of([()], ())
    particles = np.arange(4)
    library = np.full((4, 1), np.mean(draw.library_size), np.float32)
    genes = np.arange(spec.sizes.n_genes, dtype=np.uint32)
    expected = _cells(
        *(params, control, particles, library, draw.seed, genes),
        **{"failed": draw.failed, "expected": True, "spec": spec.of_model},
    )
    return np.argsort(np.asarray(expected).mean((0, 1)), kind="stable").astype(np.uint32)


def in_order(params: Params, order: np.ndarray) -> Params:
    """Return the parameters of a model whose genes are in another order."""
    decoder = {
        name: jax.tree.map(lambda leaf: leaf[..., order], leaf)
        if name in ("output", "log_concentration", "log_variance")
        else leaf
        for name, leaf in params["decoder"].items()
    }
    return {**params, "decoder": decoder}


def chunk_sizes(conditions: Conditions, memory_gib: float, *, spec: Spec) -> tuple[int, int]:
    """Return how many particles and conditions one chunk may have.

    Particles are a power of two, at most `MOST_PARTICLES`; conditions are cut where one particle
    does not fit. At least one particle and one condition.
    """
    config, sizes = spec.model, spec.sizes
    budget = memory_gib * 2**30 / 4  # numbers

    def of_particle(n_conditions: int) -> int:
        n_rows = min(len(conditions.rows), n_conditions * conditions.dosage.shape[1])
        wide = 10 * sizes.n_treatments + 4 * config.embedding_encoder_n_hidden
        return n_rows * wide + n_conditions * (10 * sizes.n_genes + 6 * config.decoder_n_hidden)

    n_conditions = len(conditions.number)
    width = n_conditions
    while width > 1 and of_particle(width) > budget:
        width = -(-width // 2)
    step = min(MOST_PARTICLES, max(1, int(budget // of_particle(width))))
    if jax.default_backend() == "cpu":
        step = min(step, max(1, _CPU_ROWS // width))
    return 1 << (step.bit_length() - 1), width


def cut(conditions: Conditions, width: int) -> Iterator[tuple[Conditions, np.ndarray]]:
    """Return the conditions in parts of one shape, with their numbers [width]; the last is filled."""
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


def library_of(
    library_size: float | np.ndarray, particles: np.ndarray, which: np.ndarray, n_particles: int
) -> np.ndarray:
    """Return the library size of each cell of a chunk, [p, c]."""
    if np.ndim(library_size) == 0:
        return np.full((len(particles), len(which)), library_size, np.float32)
    rows = np.minimum(particles, n_particles - 1)
    return np.asarray(library_size, np.float32)[np.ix_(rows, which)]


@partial(jax.jit, static_argnames=("spec", "failed", "expected"))
@exact_products
def _cells(
    params: Params,
    conditions: Conditions,
    particles: Array,
    library_size: Array,
    seed: Array,
    genes: Array,
    *,
    spec: Spec,
    failed: bool,
    expected: bool,
) -> Array:
    return values_of(
        params, conditions, particles, library_size, seed, genes,
        spec=spec, failed=failed, expected=expected,
    )  # fmt: skip
