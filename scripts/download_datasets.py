"""Download a published data set.

    python scripts/download_datasets.py {rpe1,replogle,adamson,summary_stats} --folder data

Needs gdown: pip install 'gpo-vae-jax[download]'. A download that broke off goes on where it was.
"""

from __future__ import annotations

import command_line
from absl import flags

from gpo_vae_jax.data.download import sources as download
from gpo_vae_jax.errors import ConfigError

FOLDER = flags.DEFINE_string("folder", "data", "where to put the files")


def fetch(names: list[str]) -> None:
    """Fetch each data set and say what came."""
    if not names:
        raise ConfigError(f"name what to download: {', '.join(download.SOURCES)}")
    unknown = [name for name in names if name not in download.SOURCES]
    if unknown:
        raise ConfigError(
            f"there is no data set {unknown[0]!r}; there are: {', '.join(download.SOURCES)}"
        )
    for name in names:
        files = download.fetch(name, FOLDER.value, progress=lambda said: print(said, flush=True))
        for path in files:
            print(f"{name}: {path} ({path.stat().st_size / 2**20:,.0f} MiB)")


if __name__ == "__main__":
    command_line.run(fetch, takes_words=True)
