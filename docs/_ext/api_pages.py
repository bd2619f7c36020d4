"""Pages of the API reference, written to docs/api/ before each build: one for each room."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import gpo_vae_jax

# room -> its modules, in the order in which data flows; "" holds the modules of the top floor
ROOMS = ("data", "model", "train", "predict", "evaluate", "runs", "statistics", "parity", "cli")
TITLES = {
    "data": "data: AnnData in, Dataset out",
    "model": "model: guide, generative model and heads",
    "train": "train: optimiser, step, epoch, training",
    "predict": "predict: cells under perturbations",
    "evaluate": "evaluate: how good, and which network",
    "runs": "runs: folders, checkpoints, exports",
    "statistics": "statistics: sums, ranks and distances",
    "parity": "parity: comparison with recorded numbers",
    "cli": "cli: the gpo-vae command",
}
_PUBLIC = """\
# API reference

Everything most programs need is in the package itself: `import gpo_vae_jax as gv`.

```{{eval-rst}}
.. automodule:: gpo_vae_jax
   :members:
```

## Room by room

The package below its public face, in the order in which data flows.

```{{toctree}}
:maxdepth: 1

settings
{pages}
```
"""
_SETTINGS = """\
# Settings and plain data

```{eval-rst}
.. automodule:: gpo_vae_jax.config
   :members:

.. automodule:: gpo_vae_jax.presets
   :members:
   :no-index:

.. automodule:: gpo_vae_jax.spec
   :members:

.. automodule:: gpo_vae_jax.types
   :members:
   :no-index:

.. automodule:: gpo_vae_jax.errors
   :members:
   :no-index:

.. automodule:: gpo_vae_jax.objective
   :members:
```
"""


def write(folder: Path) -> None:
    """Write the pages, leaving alone those that are the same (Sphinx then need not read them)."""
    folder.mkdir(parents=True, exist_ok=True)
    rooms = [room for room in ROOMS if _modules(room)]
    pages = {"index": _PUBLIC.format(pages="\n".join(rooms)), "settings": _SETTINGS}
    for room in rooms:
        pages[room] = f"# {TITLES[room]}\n\n" + "\n".join(map(_section, _modules(room)))
    for stale in set(folder.glob("*.md")) - {folder / f"{name}.md" for name in pages}:
        stale.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _modules(room: str) -> list[str]:
    """Return the full names of a room's modules, packages included."""
    root = Path(gpo_vae_jax.__path__[0]) / room
    if not root.is_dir():
        return []
    prefix = f"gpo_vae_jax.{room}"
    return [prefix, *(m.name for m in pkgutil.walk_packages([str(root)], prefix + "."))]


def _section(module: str) -> str:
    short = module.removeprefix("gpo_vae_jax.")
    directive = f".. automodule:: {module}\n   :members:\n   :no-index:"
    return f"## {short}\n\n```{{eval-rst}}\n{directive}\n```\n"
