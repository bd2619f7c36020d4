"""gpo-vae parity: the exit status is what it found."""

from tests.paths import GOLDEN
from tests.running import call


def test_the_status_is_what_was_found(tmp_path):
    good = GOLDEN / "decode_poisson.npz"
    done = call("parity", good)
    assert done.status == 0, done.err
    assert "1 of 1 files agree" in done.out
    (tmp_path / "broken.npz").write_bytes(b"not an archive")
    done = call("parity", good, tmp_path / "broken.npz")
    assert done.status == 1
    assert "1 of 2 files agree" in done.out


def test_a_file_is_needed():
    done = call("parity")
    assert done.status == 1
    assert "FILE.npz is missing" in done.err
