r"""Step a user's own clone of the original: import it unmodified, call it through a small entry.

Nothing of the original is part of this project. To measure a clone, write a file with one function,
and name both:

    python -m benchmarks.torch_baseline --shape rpe1 --upstream PATH --upstream-entry FILE:FUNCTION

PATH is put on sys.path. Packages for the GPU or for experiment tracking that are not installed
(`GPU_ONLY`) are replaced by stubs that can be imported, called, subclassed and used as decorators.
FILE is a module's name, or a path relative to the current folder or to PATH. FUNCTION is called as

    FUNCTION(shape=dict, cells=dict, batch_size=int, n_particles=int, device=str)

with the fields of benchmarks.inputs.shapes.Shape and the arrays of benchmarks.inputs.cells.cells.
It returns step(), a function without arguments that takes one optimiser step on the next batch and
returns the loss (or None). Loading a batch inside step() is timed with it. An example:

    import itertools, torch
    from its_package import Module, collate            # whatever the clone calls them

    def build(*, shape, cells, batch_size, n_particles, device):
        dosage = torch.zeros(len(cells["counts"]), shape["treatments"])
        at = cells["perturbation"] >= 0
        dosage[at.nonzero()[0], cells["perturbation"][at]] = 1
        module = Module(n_genes=shape["genes"], n_particles=n_particles).to(device)
        optimizer = module.configure_optimizers()
        batches = itertools.cycle(collate(cells, dosage, batch_size))
        def step():
            loss = module.training_step(next(batches))
            optimizer.zero_grad(); loss.backward(); optimizer.step()
            return float(loss)
        return step
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Iterable
from pathlib import Path

GPU_ONLY = (
    "cudf",
    "cugraph",
    "cuml",
    "cupy",
    "cupyx",
    "dask_cudf",
    "pylibraft",
    "rapids_singlecell",
    "redun",
    "rmm",
    "wandb",
)


def load(path: Path, entry: str) -> Callable[..., Callable[[], object]]:
    """Import the entry function, with the clone on sys.path and missing packages stubbed.

    Raises:
      FileNotFoundError: there is no such clone.
      ValueError: the entry is not FILE:FUNCTION, or FILE has no such function.
      ModuleNotFoundError: FILE is neither a file nor a module.
    """
    path = Path(path).resolve()
    if not path.is_dir():
        raise FileNotFoundError(f"--upstream {path} is not a folder: name the root of a clone")
    file, _, function = entry.rpartition(":")
    if not file or not function:
        raise ValueError(f"--upstream-entry {entry!r} is not of the form FILE:FUNCTION")
    sys.path.insert(0, str(path))
    stubbed = stub_missing(GPU_ONLY)
    if stubbed:
        print(f"stubbed, because not installed: {', '.join(stubbed)}", file=sys.stderr)
    found = getattr(_module(path, file), function, None)
    if not callable(found):
        raise ValueError(f"{file} has no function {function!r}")
    return found


def stub_missing(names: Iterable[str]) -> list[str]:
    """Stub the packages that cannot be found, submodules included; return their names."""
    missing = [
        name for name in names if name not in sys.modules and not importlib.util.find_spec(name)
    ]
    if missing:
        sys.meta_path.append(_StubFinder(missing))
    return missing


class Stub(types.ModuleType):
    """A placeholder for a package and for anything in it."""

    def __getattr__(self, name: str) -> Stub:
        """Return another stub, except for the names that Python itself looks up."""
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        stub = Stub(f"{self.__name__}.{name}")
        setattr(self, name, stub)
        return stub

    def __call__(self, *args, **options):
        """Return a decorated function or class unchanged; otherwise the stub."""
        if len(args) == 1 and not options and callable(args[0]):
            return args[0]
        return self

    def __mro_entries__(self, bases: tuple) -> tuple:
        """Disappear from the bases of a class."""
        return ()


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The last finder: it finds the named packages and their submodules."""

    def __init__(self, names: Iterable[str]):
        self.names = frozenset(names)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Stub(spec.name)

    def exec_module(self, module):
        pass


def _module(path: Path, file: str) -> types.ModuleType:
    for candidate in (Path(file), path / file):
        if candidate.is_file():
            spec = importlib.util.spec_from_file_location(candidate.stem, candidate.resolve())
            module = importlib.util.module_from_spec(spec)
            sys.modules[candidate.stem] = module
            spec.loader.exec_module(module)
            return module
    return importlib.import_module(file)
