"""AnnData in, Dataset out: the only rooms that know anndata and scanpy.

`prepare` turns raw counts into a prepared AnnData and `write` stores it; `from_anndata` and `load`
return the `Dataset` that training reads. `simulate` makes raw counts with a known network, and
`from_arrays` builds a `Dataset` from any other data.
"""

from gpo_vae_jax.config import Config
from gpo_vae_jax.data.anndata_out import as_anndata, network_over_genes
from gpo_vae_jax.data.dataset import from_arrays
from gpo_vae_jax.data.prepare.on_disk import prepare_file
from gpo_vae_jax.data.prepare.pipeline import prepare
from gpo_vae_jax.data.prepare.raw.conventions import guess_convention
from gpo_vae_jax.data.prepare.reading.multimodal import from_mudata
from gpo_vae_jax.data.prepare.reading.raw_files import open_raw
from gpo_vae_jax.data.prepare.stage_log import notes, summary, table
from gpo_vae_jax.data.prepared.h5ad_access import read_h5ad, write
from gpo_vae_jax.data.prepared.prepared_file import from_anndata, load, read_conventions
from gpo_vae_jax.data.quality_control import passed_by_limits
from gpo_vae_jax.data.simulation import simulate
from gpo_vae_jax.errors import DataError
from gpo_vae_jax.types import Dataset

__all__ = [
    "as_anndata",
    "from_anndata",
    "from_arrays",
    "from_config",
    "from_mudata",
    "guess_convention",
    "load",
    "network_over_genes",
    "notes",
    "open_raw",
    "passed_by_limits",
    "prepare",
    "prepare_file",
    "read_conventions",
    "read_h5ad",
    "simulate",
    "summary",
    "table",
    "write",
]


def from_config(config: Config, *, shown: bool = False) -> Dataset:
    """Return the data set of a run: a prepared file, or data simulated and prepared in memory.

    Args:
      config: the settings of the run.
      shown: whether standard error shows the estimate of memory, and progress.

    Raises:
      DataError: the settings name neither, or the file is not a prepared file (docs/data.md).
    """
    if config.data.path:
        return load(config.data.path, config.data, shown=shown)
    if not config.data.simulated:
        raise DataError(
            "no data: name a prepared file, config.data.path=PREPARED.h5ad "
            "(`gpo-vae prepare` makes one from raw counts)"
        )
    return from_anndata(prepare(simulate(config.simulate), config.prepare), config.data)
