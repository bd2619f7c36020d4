"""Chunk sizes."""

import numpy as np
import pytest

from gpo_vae_jax.memory import available_bytes, items_within, numbers_within, pieces


def test_numbers_of_a_gib():
    assert numbers_within(1.0) == 2**28
    assert numbers_within(0.125, 8) == 2**24


@pytest.mark.parametrize(("each", "items"), [(1, 100), (30, 3), (100, 1), (1000, 1), (0, 100)])
def test_at_least_one_item_fits(each, items):
    assert items_within(100, each) == items


@pytest.mark.parametrize(("n", "step"), [(0, 3), (1, 3), (9, 3), (10, 3), (2, 100)])
def test_pieces_cover_everything_once(n, step):
    rows = np.arange(n)
    found = [rows[piece] for piece in pieces(n, step)]
    np.testing.assert_array_equal(np.concatenate([rows[:0], *found]), rows)
    assert all(1 <= len(piece) <= step for piece in found)


def system(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return available_bytes(root)


MEMINFO = {"proc/meminfo": "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n"}
GROUP = {"memory.max": "600000\n", "memory.current": "500000\n"}


def test_available_memory_of_a_machine(tmp_path):
    assert system(tmp_path, {}) == float("inf")
    assert system(tmp_path, MEMINFO) == 1000 * 1024
    assert 0 < available_bytes() < 2**50


def test_the_limit_of_a_control_group(tmp_path):
    """The group's own limit or that of one around it; what caches files is free."""
    inside = "sys/fs/cgroup/job/step"
    files = MEMINFO | {"proc/self/cgroup": "0::/job/step\n"}
    files |= {f"{inside}/memory.max": "max\n", f"{inside}/memory.current": "1\n"}
    assert system(tmp_path, files) == 1000 * 1024
    files |= {f"sys/fs/cgroup/job/{name}": text for name, text in GROUP.items()}
    assert system(tmp_path, files) == 100_000
    files["sys/fs/cgroup/job/memory.stat"] = "anon 5\ninactive_file 70000\n"
    assert system(tmp_path, files) == 170_000
    files["sys/fs/cgroup/job/memory.current"] = "900000\n"
    assert system(tmp_path, files) == 0


def test_the_limit_of_a_group_of_the_first_version(tmp_path):
    folder = "sys/fs/cgroup/memory"
    files = MEMINFO | {
        "proc/self/cgroup": "5:cpu:/other\n4:memory:/slurm/job\n",
        f"{folder}/slurm/job/memory.limit_in_bytes": "700000",
        f"{folder}/slurm/job/memory.usage_in_bytes": "500000",
        f"{folder}/slurm/job/memory.stat": "total_inactive_file 1000\n",
    }
    assert system(tmp_path, files) == 201_000
