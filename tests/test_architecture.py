"""The package keeps to the rules of its house, and the check of the rules can fail."""

import pytest

from tests.architecture import violations
from tests.paths import ROOT

GOOD = {
    "gpo_vae_jax/__init__.py": '"""Package."""\n__version__ = "1"\n',
    "gpo_vae_jax/types.py": "import jax\nimport numpy as np\nArray = jax.Array | np.ndarray\n",
    "gpo_vae_jax/config.py": "from gpo_vae_jax.types import Array\n",
    "gpo_vae_jax/data/__init__.py": "from gpo_vae_jax.data.load import load\n",
    "gpo_vae_jax/data/load.py": "import anndata\nfrom gpo_vae_jax.config import Array\n"
    "FILE = 'cells.h5ad'\n"
    "def load():\n    import rapids_singlecell\n",
    "gpo_vae_jax/train/step.py": "import functools, jax\nfrom gpo_vae_jax import __version__\n"
    "from gpo_vae_jax.data import load\n@functools.partial(jax.jit, static_argnums=0)\n"
    "def step(x, f=lambda: print()): return x\n",
    "scripts/train.py": "from gpo_vae_jax.train import step\nstep(1)\n",
}

BAD = {
    "back down": ("gpo_vae_jax/config.py", "from gpo_vae_jax.data import load", "must not import"),
    "back down, relative": ("gpo_vae_jax/config.py", "from .data import load", "must not import"),
    "back down, relative in a folder": (
        "gpo_vae_jax/data/load.py",
        "from ..train import step",
        "must not import from train",
    ),
    "back down, by the module's name": (
        "gpo_vae_jax/types.py",
        "import gpo_vae_jax.train.step",
        "must not import",
    ),
    "back down, inside a function": (
        "gpo_vae_jax/types.py",
        "def f():\n    from gpo_vae_jax import config",
        "must not import",
    ),
    "from the package": (
        "gpo_vae_jax/train/step.py",
        "from gpo_vae_jax import load",
        "must not import from __init__",
    ),
    "circle": ("gpo_vae_jax/data/load.py", "from gpo_vae_jax.data import Dataset", "a circle"),
    "no room": ("gpo_vae_jax/magic.py", "", "belongs to no room"),
    "anndata in training": ("gpo_vae_jax/train/step.py", "import anndata", "anndata is known to"),
    "scanpy in a script": ("scripts/train.py", "import scanpy as sc", "only gpo_vae_jax/data"),
    "torch at import": (
        "gpo_vae_jax/original/state_dict.py",
        "import torch.nn",
        "torch is optional",
    ),
    "rapids at import": ("gpo_vae_jax/data/load.py", "import rapids_singlecell", "is optional"),
    "wandb at import of a script": ("scripts/train.py", "import wandb", "wandb is optional"),
    "absl in the package": ("gpo_vae_jax/train/step.py", "import absl", "does not import absl"),
    "function for a room": (
        "gpo_vae_jax/train/step.py",
        "from gpo_vae_jax import predict",
        "is a function",
    ),
    "name used twice": ("gpo_vae_jax/train/load.py", "", "two modules of one name"),
    "file of another room": (
        "gpo_vae_jax/train/step.py",
        "PATH = 'cells.h5ad'",
        "is named in several rooms",
    ),
    "configs in the package": ("gpo_vae_jax/config.py", "import configs.base", "does not import"),
    "utils": ("gpo_vae_jax/data/utils.py", "", "name files by their content"),
    "long file": ("gpo_vae_jax/types.py", "# line\n" * 301, "more than 300"),
    "long script": ("scripts/train.py", "# line\n" * 80, "more than 79"),
    "array at import": (
        "gpo_vae_jax/config.py",
        "import jax.numpy as jnp\nONE = 2 * jnp.ones(3)",
        "runs at import",
    ),
    "array in a class": ("gpo_vae_jax/config.py", "class A:\n    x = jnp.ones(3)", "jnp.ones"),
    "array as a default": ("gpo_vae_jax/config.py", "def f(x=jnp.ones(3)): ...", "jnp.ones"),
    "flag at import": ("gpo_vae_jax/config.py", "jax.config.update('a', 1)", "runs at import"),
    "loop at import": ("gpo_vae_jax/config.py", "for i in (1, 2): pass", "For runs at import"),
    "try at import": ("gpo_vae_jax/config.py", "try: pass\nexcept E: pass", "Try runs at import"),
    "setting at import": ("gpo_vae_jax/config.py", "os.environ.setdefault('A', 'b')", "setdefault"),
}


def _write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_this_project_has_no_violations():
    assert violations(ROOT) == []


def test_a_good_tree_passes(tmp_path):
    _write(tmp_path, GOOD)
    assert violations(tmp_path) == []


def test_a_crowded_floor_is_found(tmp_path):
    _write(tmp_path, GOOD | {f"gpo_vae_jax/data/room{i}.py": "" for i in range(13)})
    assert any("15 entries, more than 14" in line for line in violations(tmp_path))


@pytest.mark.parametrize("case", BAD)
def test_each_breach_is_found(tmp_path, case):
    name, text, expected = BAD[case]
    _write(tmp_path, GOOD)
    _write(tmp_path, {name: GOOD.get(name, "") + text + "\n"})
    found = violations(tmp_path)
    assert any(name in line and expected in line for line in found), found
