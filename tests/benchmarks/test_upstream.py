"""The adapter steps a fake clone that needs missing packages; torch is not needed."""

import json
import sys

import pytest

from benchmarks.inputs import shapes
from benchmarks.programs import upstream
from tests.benchmarks import programs

MODEL = """
import cupyx.scipy.sparse as sparse
import wandb
from redun import task
from rapids_singlecell.preprocessing import normalize_total

redun_namespace = "original"

class Logger(wandb.Callback):
    log = wandb.log

@task(cache=False, version="1")
def descend(x):
    print("noise on stdout")
    return x / 2

@wandb.watch
class Module:
    def __init__(self, n_genes):
        self.value = float(n_genes)

    def step(self):
        self.value = descend(self.value)
        return self.value
"""
ENTRY = """
from original.model import Module

def build(*, shape, cells, batch_size, n_particles, device):
    assert cells["counts"].shape == (4 * batch_size, shape["genes"]), cells["counts"].shape
    assert (n_particles, device) == (5, "cpu")
    return Module(shape["genes"]).step

not_a_function = 1
"""


@pytest.fixture
def clone(tmp_path):
    """A clone and, outside of it, an entry."""
    package = tmp_path / "clone" / "original"
    package.mkdir(parents=True)
    (package / "model.py").write_text(MODEL)
    (tmp_path / "entry.py").write_text(ENTRY)
    return tmp_path / "clone"


def start(clone, *options, entry="build", **more):
    """Run the baseline's command on the clone."""
    where = [f"--upstream={clone}", f"--upstream-entry={clone.parent / 'entry.py'}:{entry}"]
    return programs.run("torch_baseline", "--shape=tiny", *where, *options, **more)


def test_a_worker_steps_the_clone(clone):
    told = '{"steps": 2}\n{"steps": 1}\n{"stop": true}\n'
    done = start(clone, "--worker", input=told)
    assert done.returncode == 0, done.stderr
    ready, two, one, last = map(json.loads, done.stdout.splitlines())
    assert ready["ready"] and ready["of"] == "upstream" and ready["compile_s"] is None
    assert ready["shape"]["genes"] == 60 and ready["batch_size"] == 64
    assert len(two["seconds"]) == 2 and len(one["seconds"]) == 1
    assert two["loss"] == 60 / 2**3 and one["loss"] == 60 / 2**4  # one step warmed up
    assert last["peak_gib"] > 0
    assert "wandb" in done.stderr and "noise on stdout" in done.stderr


def test_a_worker_ends_with_its_input(clone):
    done = start(clone, "--worker", input="")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]).keys() == {"peak_gib"}


def test_results_are_kept_by_shape(clone, tmp_path):
    folder = tmp_path / "results"
    for options in (["--steps=1"], ["--quick"], ["--steps=1", "--genes=30"]):
        done = start(clone, f"--results={folder}", *options)
        assert done.returncode == 0, done.stderr
    kept = json.loads((folder / "torch_baseline.json").read_text())
    assert set(kept) == {"tiny upstream", "tiny upstream genes=30"}
    assert len(kept["tiny upstream"]["seconds"]) == 2
    assert kept["tiny upstream genes=30"]["loss"] == 30 / 2**2
    assert kept["tiny upstream"]["machine"]["cores"] >= 1


def test_what_is_wrong_is_named(clone):
    done = start(clone, entry="not_a_function")
    assert done.returncode != 0 and "has no function 'not_a_function'" in done.stderr
    done = programs.run("torch_baseline", f"--upstream={clone}")
    assert done.returncode != 0 and "go together" in done.stderr
    with pytest.raises(FileNotFoundError, match="root of a clone"):
        upstream.load(clone / "missing", "entry.py:build")
    with pytest.raises(ValueError, match="FILE:FUNCTION"):
        upstream.load(clone, "entry.py")


def test_stubs_stand_in_for_anything(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    assert upstream.stub_missing(["numpy", "no_such_gpu_package"]) == ["no_such_gpu_package"]
    import no_such_gpu_package.deep.down as down
    from no_such_gpu_package import decorator

    assert decorator(len) is len and decorator(cache=True)(len) is len
    assert down.thing.other() is not None

    class Inherits(down.Base):
        pass

    assert Inherits.__mro__ == (Inherits, object)
    with pytest.raises(ModuleNotFoundError):
        import no_such_other_package  # noqa: F401


def test_shapes_reach_an_entry_as_plain_dictionaries():
    assert json.loads(json.dumps(shapes.SHAPES["tiny"]._asdict()))["preset"] == "rpe1"
