"""Where the recorded numbers and the optional real data lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"


def shared_folder() -> Path:
    """Return the folder of real data: $GPO_VAE_JAX_DATA, else `shared` beside the clone."""
    return Path(os.environ.get("GPO_VAE_JAX_DATA") or ROOT.parent / "shared")


def golden_files(pattern: str = "*.npz") -> list[Path]:
    """List recorded files, for `pytest.mark.parametrize`; none is an error, not an empty test."""
    files = sorted(GOLDEN.glob(pattern))
    if not files:
        raise FileNotFoundError(f"no {pattern} in tests/golden; the clone is not complete")
    return files
