"""Compiled programs kept on disk, so that a second start of the same shapes does not compile."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import jax

VARIABLE = "GPO_VAE_JAX_CACHE"
_OFF = ("0", "off", "no", "none", "false")
_WORTH_KEEPING = 0.3  # seconds of compilation


def use_compilation_cache() -> Path | None:
    """Let jax keep compiled programs in a cache folder; return the folder, or None where it is off.

    Called where a user's command or call begins, never on import. A cache folder that was already
    chosen through jax itself stays. $GPO_VAE_JAX_CACHE names another folder, or turns the cache off
    with "off"; by default it is gpo_vae_jax in the user's cache folder ($XDG_CACHE_HOME, ~/.cache).
    Every jax and every kind of processor has a folder of its own. jax caches programs for a CPU
    from about 0.4.31 on; older ones compile anew there.
    """
    chosen = getattr(jax.config, "jax_compilation_cache_dir", None)
    if chosen:
        return Path(chosen)
    wanted = os.environ.get(VARIABLE, "")
    if wanted.lower() in _OFF:
        return None
    root = Path(wanted) if wanted else _users_cache() / "gpo_vae_jax"
    folder = root / f"{jax.__version__}-{_processor()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written to: work without
        return None
    if not os.access(folder, os.W_OK):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _users_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _processor() -> str:
    """Return a short hash of what the processor can do: programs compiled for it run on it only."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):  # another system
        kind = platform.processor()
    return hashlib.blake2b(f"{platform.machine()} {kind}".encode(), digest_size=4).hexdigest()
