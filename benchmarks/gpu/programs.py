"""The programs that are compiled: steps, epochs, evaluation and prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.gpu.absent import for_a_gpu
from benchmarks.inputs import shapes
from benchmarks.inputs.shapes import Shape
from benchmarks.models import accurate_spec
from gpo_vae_jax.evaluate.predictive_bound import predictive_iwelbo, sample_shared
from gpo_vae_jax.model import sample_shared_noise
from gpo_vae_jax.predict import sampling
from gpo_vae_jax.predict.conditions import Conditions
from gpo_vae_jax.spec import Spec
from gpo_vae_jax.train import compact_cells, init_state, run_epoch, run_steps
from gpo_vae_jax.train.compact_cells import Coded, Shared
from gpo_vae_jax.train.present import rows_of
from gpo_vae_jax.types import Batch, Context, InputStatistics, Split

STEPS = 4  # of a program of steps
PARTICLES, CELLS, CONDITIONS = 8, 64, 32  # of evaluation and prediction
_TRAINING, _VALIDATION = 0.6, 0.2  # shares of the cells
_OWN_COUNTERFACTUAL, _VALUES = 0.9, 128  # share of cells; distinct values of delta in a cell


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A program to compile."""

    model: str  # "published" or "accurate"
    shape: str
    program: str  # a name in `PROGRAMS`
    precision: str

    @property
    def label(self) -> str:
        """Return what it is called in messages."""
        return f"{self.model} {self.shape} {self.program} {self.precision}"

    def made(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return the function and the shapes of its arguments."""
        shape = shapes.SHAPES[self.shape]
        if self.model == "published":
            spec = shapes.spec_of(shape, precision=self.precision)
        else:
            spec = accurate_spec(shape, self.precision)
        return PROGRAMS[self.program](spec, shape)

    @property
    def steps(self) -> int:
        """Return the steps of the program's loop; 1 where it has none."""
        return STEPS if self.program == "step" else 1


def _kind(*shape: int, dtype: Any = np.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def _split(spec: Spec, shape: Shape, share: float) -> Split:
    """Return the cells of a split as a GPU keeps them, one count being above 255."""
    n, g, t = round(shape.cells * share), shape.genes, shape.treatments
    different = round(n * _OWN_COUNTERFACTUAL)
    return Split(
        cells=Batch(
            counts=_kind(n, g, dtype=np.uint16),
            library_size=_kind(n),
            perturbation=_kind(n, 1, dtype=np.int32),
            dosage=_kind(n, 1),
            qc_fail=_kind(n, 1),
            counterfactual=Shared(_kind(different, g, dtype=np.uint16), _kind(n, dtype=np.int32)),
            delta=Coded(_kind(n, _VALUES), _kind(n, t, dtype=np.uint8)),
            weight=_kind(n),
        ),
        context=Context(
            statistics=InputStatistics(*[_kind(g)] * 4),
            treatment_cells=_kind(t),
            quality_cells=_kind(1),
            measured=_kind(t),
            training_cells=_kind(),
        ),
    )


def _state(spec: Spec) -> Any:
    return jax.eval_shape(partial(init_state, spec=spec), _kind(dtype=np.uint32))


def _rows(spec: Spec, shape: Shape) -> int:
    """Return the `rows_of_batches` of a GPU for perturbations of equal size."""
    n = round(shape.cells * _TRAINING)
    cells = np.full(shape.perturbed, n * 0.9 / shape.perturbed)
    with for_a_gpu():
        rows = rows_of(cells, shape.treatments, n, spec.train.batch_size)
    assert rows is not None
    return rows


def _steps(spec: Spec, shape: Shape) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    rows = _kind(STEPS, spec.train.batch_size, dtype=np.int32)
    filled = _kind(STEPS, spec.train.batch_size, dtype=bool)
    seed, first = _kind(dtype=np.uint32), _kind(dtype=np.int32)
    function = partial(run_steps, spec=spec, n_rows=_rows(spec, shape))
    split = _split(spec, shape, _TRAINING)
    return function, (_state(spec).current, split, rows, filled, seed, first)


def _epoch(spec: Spec, shape: Shape) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    function = partial(run_epoch, spec=spec, n_rows=_rows(spec, shape))
    splits = (_split(spec, shape, share) for share in (_TRAINING, _VALIDATION))
    table = _kind(shape.perturbed, shape.treatments)
    return function, (_state(spec), *splits, {"train": table, "test": table})


def _bound(spec: Spec, shape: Shape) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    spec, params = spec.of_model, _state(spec).current.params
    split = _split(spec, shape, _VALIDATION)
    batch = jax.eval_shape(compact_cells.rows_of, split.cells, _kind(CELLS, dtype=np.int32))
    noise = jax.eval_shape(
        lambda: sample_shared_noise(jax.random.key(1), spec, np.arange(PARTICLES))
    )
    shared = jax.eval_shape(partial(sample_shared, spec=spec), params, noise)
    basal = _kind(PARTICLES, CELLS, spec.model.n_latent)
    return partial(predictive_iwelbo, spec=spec), (
        params, split.context.statistics, batch, shared, basal,
    )  # fmt: skip


def _cells(spec: Spec, shape: Shape) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    one = partial(_kind, CONDITIONS, 1)
    conditions = Conditions(
        _kind(CONDITIONS, dtype=np.int32), one(dtype=np.int32), one(),
        _kind(CONDITIONS, dtype=np.uint32),
    )  # fmt: skip
    function = partial(sampling._cells, spec=spec.of_model, failed=False, expected=False)
    return function, (
        _state(spec).current.params, conditions, _kind(PARTICLES, dtype=np.int32),
        _kind(PARTICLES, CONDITIONS), _kind(dtype=np.int32), _kind(shape.genes, dtype=np.uint32),
    )  # fmt: skip


PROGRAMS = {"step": _steps, "epoch": _epoch, "evaluation": _bound, "prediction": _cells}
