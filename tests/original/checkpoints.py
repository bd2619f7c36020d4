"""Checkpoints as Lightning writes them, made without torch: foreign objects beside tensors."""

import pickle
import zipfile

import numpy as np

from gpo_vae_jax.original import torch_archive
from tests.original.malicious import dumped

NORMAL = "gpo_vae.data.utils.perturbation_datamodule\nObservationNormalizationStatistics"


def write(path, state, *, genes=(), config=None, cells=None, extra=b"", compressed=False):
    """Write a state_dict under both prefixes, with the settings and objects of the original."""
    tensors = {
        f"{wrapper}{name}": np.asarray(value, np.float32)
        for wrapper in ("loss_module.", "predictor.")
        for name, value in state.items()
    }
    if cells is not None:
        tensors["D_obs_counts_train"] = np.asarray(cells, np.float32)
    stored = []
    pairs = b"".join(dumped(n) + torch_archive._written(v, stored) for n, v in tensors.items())
    states = b"ccollections\nOrderedDict\n)R(" + pairs + b"u"
    program = b"\x80\x02}(" + dumped("epoch") + dumped(7) + dumped("global_step") + dumped(70)
    program += dumped("state_dict") + states
    program += dumped("hyper_parameters") + b"}(" + dumped("config") + settings(config or {})
    program += dumped("x_var_info") + index(genes) + extra + b"uu."
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", "little")
        for i, tensor in enumerate(stored):
            archive.writestr(f"archive/data/{i}", tensor.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def settings(config):
    """Return a defaultdict of settings, with an object of the original's own among them."""
    entries = b"".join(dumped(key) + dumped(value) for key, value in config.items())
    entries += dumped("guide_kwargs.x_normalization_stats")
    entries += f"c{NORMAL}\n".encode() + b")\x81}" + dumped("mean") + dumped(1.5) + b"sb"
    return b"ccollections\ndefaultdict\nc__builtin__\ndict\n\x85R(" + entries + b"u"


def index(names):
    """Return a pandas Index of names, as pandas pickles it."""
    array = b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
    array += dumped("b") + b"\x87R(K\x01" + dumped((len(names),))
    array += b"cnumpy\ndtype\n" + dumped("O8") + b"\x89\x88\x87R\x89" + dumped(list(names)) + b"tb"
    data = b"}(" + dumped("data") + array + dumped("name") + b"Nu"
    return (b"cpandas.core.indexes.base\n_new_Index\ncpandas.core.indexes.base\nIndex\n"
            + data + b"\x86R")  # fmt: skip


def loads(program):
    """Return what Python itself makes of opcodes."""
    return pickle.loads(b"\x80\x02" + program + b".")
