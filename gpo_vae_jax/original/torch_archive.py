"""Read and write files of torch.save without torch: a zip of a pickle and of raw numbers."""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_dtypes
import numpy as np

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.files import written_beside
from gpo_vae_jax.original import inert_pickle
from gpo_vae_jax.original.inert_values import Named

_TYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_COPIES = 8  # most bytes of tensors, as a multiple of the file's
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch before 1.6 begin


class _Storage(NamedTuple):
    key: str
    kind: Any  # a numpy type
    size: int  # numbers


def read_archive(path: str | Path) -> Any:
    """Return what a file of `torch.save` holds: tensors as arrays, foreign objects inert.

    Nothing of the file is executed and nothing is imported. Numbers may have any type; bfloat16
    becomes float32.

    Raises:
      DataError: the file is no such archive, is compressed or damaged, or a tensor lies outside of
        the numbers that are stored.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, path).read()
    except zipfile.BadZipFile as error:
        with path.open("rb") as file:
            old = file.read(len(_LEGACY)) == _LEGACY
        raise DataError(
            f"{path} is a file of torch before 1.6; read it where it was made and save it again: "
            "torch.save(torch.load(path), path)"
            if old
            else f"{path} is no file of torch.save: it is no zip archive ({error})"
        ) from error
    except (OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def write_archive(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write values as `torch.save` does; `torch.load(path, weights_only=True)` reads them.

    Args:
      path: of the file, which is written beside and renamed.
      values: nested dictionaries with text as keys; arrays become float32 tensors, and numbers
        and text are kept.
    """
    tensors: list[np.ndarray] = []
    program = b"\x80\x02" + _written(values, tensors) + b"."
    with written_beside(Path(path)) as part, zipfile.ZipFile(part, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", "little")
        for i, tensor in enumerate(tensors):
            archive.writestr(f"archive/data/{i}", tensor.astype("<f4").tobytes())
        archive.writestr("archive/version", "3\n")


def _written(value: Any, tensors: list[np.ndarray]) -> bytes:
    """Return the opcodes that put a value on the stack of a pickle."""
    if isinstance(value, Mapping):
        pairs = b"".join(
            pickle.dumps(str(key), 2)[2:-1] + _written(entry, tensors)
            for key, entry in value.items()
        )
        return b"}(" + pairs + b"u"
    if not isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return pickle.dumps(value, 2)[2:-1]  # without its protocol and its end
    tensor = np.array(value, np.float32, order="C")
    tensors.append(tensor)
    key, stride = str(len(tensors) - 1), [step // 4 for step in tensor.strides]
    storage = b"(" + _written("storage", []) + b"ctorch\nFloatStorage\n" + _written(key, [])
    storage += _written("cpu", []) + _written(tensor.size, []) + b"tQ"
    sizes = _written(0, []) + _written(tensor.shape, []) + _written(tuple(stride), [])
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + sizes + b"\x89" + hooks + b"tR"


class _Archive:
    """An open archive; every storage is read once."""

    def __init__(self, archive: zipfile.ZipFile, path: Path):
        self.archive, self.path = archive, path
        self.entries = {info.filename: info for info in archive.infolist()}
        self.size = path.stat().st_size
        self.left = self.size  # bytes that entries can have in all: none is compressed
        self.copied = 0  # bytes of tensors so far; several may be views of one storage
        self.numbers: dict[str, np.ndarray] = {}
        pickles = [name for name in self.entries if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise DataError(f"{path} is no file of torch.save: it has no data.pkl")
        self.pickle, self.folder = pickles[0], pickles[0].removesuffix("data.pkl")
        self.order = "<"
        if f"{self.folder}byteorder" in self.entries:
            order = self.bytes_of(f"{self.folder}byteorder")
            self.order = ">" if order.strip() == b"big" else "<"

    def read(self) -> Any:
        """Return the value of data.pkl."""
        builders = {
            "collections.OrderedDict": _ordered,
            "collections.defaultdict": _dictionary,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": _parameter,
        }
        try:
            return inert_pickle.read(self.bytes_of(self.pickle), builders, self.storage)
        except DataError as error:
            raise DataError(f"{self.path}: {error}") from error

    def bytes_of(self, name: str) -> bytes:
        """Return the content of an entry, which is not compressed, as torch writes it."""
        info = self.entries.get(name)
        if info is None:
            raise DataError(f"{self.path}: the entry {name} is missing")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > self.left:
            raise DataError(f"{self.path}: the entry {name} is compressed, or overlaps others")
        self.left -= info.file_size
        return self.archive.read(name)

    def storage(self, key: Any) -> Any:
        """Return the storage that a persistent id stands for."""
        known = (
            isinstance(key, tuple)
            and len(key) == 5
            and key[0] == "storage"
            and isinstance(key[1], Named)
            and isinstance(key[2], str)
            and isinstance(key[4], int)
        )
        if not known:
            raise DataError("a persistent id is not that of a storage")
        module, _, kind = key[1].name.rpartition(".")
        if module != "torch" or kind not in _TYPES:
            raise DataError(f"numbers of type {key[1].name} are not read")
        return _Storage(key[2], _TYPES[kind], key[4])

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
        """Return a tensor as an array, after checking that it lies within its storage."""
        if not isinstance(storage, _Storage):
            raise DataError("a tensor has no storage")
        fits = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride)
        if not fits or not all(map(_is_count, (*size, *stride, offset, storage.size))):
            raise DataError("a tensor has impossible sizes")
        numbers, n_values = self._numbers(storage), math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if n_values and (last >= len(numbers) or n_values > len(numbers)):
            raise DataError("a tensor lies outside of the numbers that are stored")
        if not n_values:
            return np.zeros(size, np.float32)
        self.copied += n_values * numbers.itemsize
        if self.copied > _COPIES * self.size:
            raise DataError("tensors share the same numbers too often")
        steps = [step * numbers.itemsize for step in stride]
        view = np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)
        return view.astype(np.float32) if storage.kind is ml_dtypes.bfloat16 else view.copy()

    def _numbers(self, storage: _Storage) -> np.ndarray:
        kind = np.dtype(storage.kind)
        if storage.key not in self.numbers:
            raw = self.bytes_of(f"{self.folder}data/{storage.key}")
            self.numbers[storage.key] = np.frombuffer(raw, np.uint8)
        raw = self.numbers[storage.key]
        if storage.size * kind.itemsize > len(raw):
            raise DataError(f"storage {storage.key} has fewer numbers than it should")
        values = raw[: storage.size * kind.itemsize].view(kind)
        return values.byteswap() if self.order == ">" and kind.itemsize > 1 else values


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 48


def _ordered(pairs: Any = (), *_: Any) -> Any:
    """Return an ordered dictionary of pairs of text and value."""
    found: OrderedDict[Any, Any] = OrderedDict()
    for pair in pairs if isinstance(pairs, (list, tuple)) else ():
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str):
            found[pair[0]] = pair[1]
    return found


def _dictionary(*_: Any) -> dict[Any, Any]:
    """Return a dictionary, which the pickle then fills; its default is left out."""
    return {}


def _parameter(data: Any = None, *_: Any) -> Any:
    return data
