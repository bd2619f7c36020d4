"""Files of torch.save: tensors come out whole, and damaged files are one clear error."""

import struct
import zipfile

import numpy as np
import pytest

from gpo_vae_jax.errors import DataError
from gpo_vae_jax.original.torch_archive import read_archive, write_archive
from tests.original.malicious import dumped

VALUES = np.arange(12, dtype=np.float32)


def rebuilt(size, stride, offset=0, kind="FloatStorage", n=12, key="0"):
    """Return the opcodes of a tensor."""
    stored = b"(" + dumped("storage") + f"ctorch\n{kind}\n".encode() + dumped(key)
    stored += dumped("cpu") + dumped(n) + b"tQ"
    sizes = dumped(offset) + dumped(size) + dumped(stride)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + stored + sizes + b"\x89}tR"


def archive(path, program, numbers=None, order="little", kind=zipfile.ZIP_STORED):
    numbers = VALUES.tobytes() if numbers is None else numbers
    with zipfile.ZipFile(path, "w", kind) as file:
        file.writestr("x/data.pkl", b"\x80\x02" + program + b".")
        file.writestr("x/byteorder", order)
        file.writestr("x/data/0", numbers)
    return path


def test_tensors_are_views_of_their_storage(tmp_path):
    found = read_archive(archive(tmp_path / "a.pt", rebuilt((3, 4), (4, 1))))
    np.testing.assert_array_equal(found, VALUES.reshape(3, 4))
    turned = read_archive(archive(tmp_path / "a.pt", rebuilt((4, 3), (1, 4))))
    np.testing.assert_array_equal(turned, VALUES.reshape(3, 4).T)
    part = read_archive(archive(tmp_path / "a.pt", rebuilt((2,), (3,), offset=5)))
    np.testing.assert_array_equal(part, VALUES[[5, 8]])
    one = read_archive(archive(tmp_path / "a.pt", rebuilt((), (), offset=7)))
    assert one.shape == () and one == 7
    none = read_archive(archive(tmp_path / "a.pt", rebuilt((0, 4), (4, 1))))
    assert none.shape == (0, 4)


@pytest.mark.parametrize(
    ("kind", "code"), [("DoubleStorage", "d"), ("LongStorage", "q"), ("HalfStorage", "e"),
                       ("IntStorage", "i"), ("ByteStorage", "B")],
)  # fmt: skip
@pytest.mark.parametrize(("order", "sign"), [("little", "<"), ("big", ">")])
def test_types_and_byte_orders(tmp_path, kind, code, order, sign):
    numbers = struct.pack(f"{sign}3{code}", 1, 2, 100)
    program = rebuilt((3,), (1,), kind=kind, n=3)
    found = read_archive(archive(tmp_path / "a.pt", program, numbers, order))
    assert found.tolist() == [1, 2, 100]


def test_bfloat16_becomes_float32(tmp_path):
    numbers = np.array([0x3FC0, 0xC000], np.uint16).tobytes()
    program = rebuilt((2,), (1,), kind="BFloat16Storage", n=2)
    found = read_archive(archive(tmp_path / "a.pt", program, numbers))
    assert found.dtype == np.float32 and found.tolist() == [1.5, -2]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (rebuilt((3, 5), (4, 1)), "outside of the numbers"),
        (rebuilt((2,), (1,), offset=11), "outside of the numbers"),
        (rebuilt((2,), (1,), offset=-1), "impossible sizes"),
        (rebuilt((2,), (-1,), offset=5), "impossible sizes"),
        (rebuilt((-2,), (1,)), "impossible sizes"),
        (rebuilt((1 << 40,), (0,)), "outside of the numbers"),
        (rebuilt((2, 2), (1,)), "impossible sizes"),
        (rebuilt((True,), (1,)), "impossible sizes"),
        (rebuilt((2,), (1,), n=13), "fewer numbers"),
        (rebuilt((2,), (1,), n=1 << 60), "impossible sizes"),
        (rebuilt((2,), (1,), kind="QInt8Storage"), "torch.QInt8Storage are not read"),
        (rebuilt((2,), (1,), key="1"), "data/1 is missing"),
        (rebuilt((2,), (1,), key="../data.pkl"), "missing"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00)))tR", "damaged|no storage"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "damaged"),
        (dumped("module") + b"Q", "not that of a storage"),
    ],
)
def test_damaged_tensors_are_one_clear_error(tmp_path, program, says):
    path = archive(tmp_path / "a.pt", program)
    with pytest.raises(DataError, match=rf"a\.pt: .*({says})"):
        read_archive(path)


def test_a_storage_cannot_be_shared_without_end(tmp_path):
    program = b"](" + rebuilt((12,), (1,)) * 4 + b"e"
    assert len(read_archive(archive(tmp_path / "a.pt", program))) == 4
    numbers = np.zeros(10**6, np.float32).tobytes()
    whole = rebuilt((10**6,), (1,), n=10**6)
    with pytest.raises(DataError, match="share the same numbers too often"):
        read_archive(archive(tmp_path / "a.pt", b"](" + whole * 20 + b"e", numbers))


def test_files_that_are_no_archives(tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.more")
    with pytest.raises(DataError, match=r"torch before 1\.6.*torch\.save"):
        read_archive(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="no zip archive"):
        read_archive(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x/other", "x")
    with pytest.raises(DataError, match=r"no data\.pkl"):
        read_archive(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_archive(tmp_path / "absent.pt")


def test_compressed_and_overlapping_entries_are_refused(tmp_path):
    """A few bytes must not become gigabytes: torch does not compress."""
    program = rebuilt((3, 4), (4, 1))
    path = archive(tmp_path / "a.pt", program, bytes(10**7), kind=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="compressed"):
        read_archive(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        read_archive(path)


def test_what_is_written_is_read_again(tmp_path):
    rng = np.random.default_rng(0)
    values = {
        "state_dict": {
            "a.weight": rng.normal(size=(3, 4)).astype(np.float32),
            "turned": rng.normal(size=(3, 4)).astype(np.float32).T,
            "one": np.float32(2.5),
            "none": np.zeros((0, 2), np.float32),
        },
        "epoch": 3,
        "genes": ["A", "B"],
        "config": {"lr": 3e-4, "on": True, "nothing": None},
    }
    write_archive(tmp_path / "a.ckpt", values)
    found = read_archive(tmp_path / "a.ckpt")
    tensors, expected = found.pop("state_dict"), values.pop("state_dict")
    assert found == values
    assert {name: value.shape for name, value in tensors.items()} == {
        "a.weight": (3, 4), "turned": (4, 3), "one": (), "none": (0, 2),
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_array_equal(tensors[name], value)


def test_torch_reads_what_is_written_and_the_other_way_round(tmp_path):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    state = {"a": rng.normal(size=(3, 4)).astype(np.float32), "b": np.float32(1.5)}
    write_archive(tmp_path / "ours.ckpt", {"state_dict": state, "epoch": 2})
    found = torch.load(tmp_path / "ours.ckpt", weights_only=True)
    assert found["epoch"] == 2
    for name, value in state.items():
        np.testing.assert_array_equal(found["state_dict"][name].numpy(), value)
    tensors = {
        "plain": torch.arange(6.0).reshape(2, 3),
        "view": torch.arange(12.0).reshape(3, 4)[1:, ::2].T,
        "half": torch.tensor([1.5], dtype=torch.bfloat16),
        "whole": torch.tensor([[2, 3]]),
        "trained": torch.nn.Parameter(torch.ones(2)),
    }
    torch.save(tensors, tmp_path / "theirs.pt")
    found = read_archive(tmp_path / "theirs.pt")
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value.detach().float().numpy())
