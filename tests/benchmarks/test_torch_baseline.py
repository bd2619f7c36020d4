"""The PyTorch baseline computes what the recorded runs of the original computed."""

import json

import pytest

from benchmarks.inputs import cells, shapes
from benchmarks.programs.torch_gpo_vae import settings
from tests.benchmarks import programs
from tests.paths import GOLDEN, golden_files

torch = pytest.importorskip("torch")
goldens = pytest.importorskip("benchmarks.programs.torch_gpo_vae.goldens")
loader = pytest.importorskip("benchmarks.programs.torch_gpo_vae.loader")
objective = pytest.importorskip("benchmarks.programs.torch_gpo_vae.objective")
training = pytest.importorskip("benchmarks.programs.torch_gpo_vae.training")

torch.set_num_threads(1)  # arrays are tiny: threads would only wait for each other
RECORDED = [path for pattern in goldens.PATTERNS for path in golden_files(pattern)]
TINY = shapes.SHAPES["tiny"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_runs(path):
    result = goldens.check(path)
    assert result.passed, result
    kind = path.stem.partition("_")[0]
    assert result.n_values >= {"loss": 46, "train": 8, "decode": 6}[kind]


def test_every_recorded_run_is_compared():
    kinds = [path.stem.partition("_")[0] for path in goldens.files(GOLDEN)]
    assert [kinds.count(kind) for kind in ("loss", "train", "decode")] == [13, 3, 6]


def test_a_wrong_model_disagrees(monkeypatch):
    wrong = objective.divergence
    monkeypatch.setattr(objective, "divergence", lambda p, q: 1.001 * wrong(p, q))
    assert not goldens.check(GOLDEN / "loss_base.npz").passed


@pytest.mark.parametrize(("name", "n"), [("rpe1", 8_783_233), ("k562", 12_333_934)])
def test_parameter_counts(name, n):
    shape = shapes.SHAPES[name]
    with torch.device("meta"):
        model = objective.GPOVAE(
            settings.from_config(shapes.published(shape), shape.genes, shape.treatments)
        )
    assert sum(parameter.numel() for parameter in model.parameters()) == n


def tiny():
    """Return cells, a model of them and their loader."""
    made = cells.cells(TINY, 200)
    dataset = loader.CellDataset(made, TINY.treatments)
    torch.manual_seed(0)
    config = shapes.published(TINY)
    model = objective.GPOVAE(settings.from_config(config, TINY.genes, TINY.treatments))
    model.guide.normalization_module.load_statistics(cells.statistics(made["counts"]))
    return made, dataset, model


def test_the_loader_gives_every_cell_once_in_another_order():
    made, dataset, _ = tiny()
    source = loader.batches(dataset, 50)
    epochs = [torch.cat([next(source).X for _ in range(4)]).numpy() for _ in range(2)]
    assert (epochs[0] != epochs[1]).any()
    for epoch in epochs:
        assert sorted(map(bytes, epoch)) == sorted(map(bytes, made["counts"].astype("float32")))
    batch = next(source)
    control = batch.D.sum(1) == 0
    assert 0 < control.sum() < 25 and (batch.D[~control].sum(1) == 1).all()
    assert dataset.counts().D.sum() == (made["perturbation"] >= 0).sum()


def test_steps_lower_the_loss():
    _, dataset, model = tiny()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    step, counts = training.make_step(model, optimizer), dataset.counts()
    source = loader.batches(dataset, 64)
    losses = [float(step(next(source), counts)[0]) for _ in range(40)]
    assert sum(losses[-5:]) < sum(losses[:5])


def test_half_precision_is_near():
    _, dataset, model = tiny()
    batch = next(loader.batches(dataset, 64))
    found = []
    for precision in ("float32", "bf16"):
        torch.manual_seed(1)
        step = training.make_step(model, torch.optim.SGD(model.parameters(), lr=0), None, precision)
        found.append(float(step(batch, dataset.counts())[0]))
    assert found[0] != found[1] and found[1] == pytest.approx(found[0], rel=0.05)
    with pytest.raises(ValueError, match="none of float32"):
        training.make_step(model, None, None, "float16")


def test_a_worker_does_as_told():
    options = ["--genes=40", "--batch-size=16", "--particles=2"]
    told = '{"steps": 3}\n{"stop": true}\n'
    done = programs.run("torch_baseline", "--worker", "--shape=tiny", *options, input=told)
    assert done.returncode == 0, done.stderr
    ready, taken, last = map(json.loads, done.stdout.splitlines())
    assert ready["ready"] and ready["versions"]["torch"] and ready["loader_s"] > 0
    assert (ready["shape"]["genes"], ready["batch_size"], ready["particles"]) == (40, 16, 2)
    assert len(taken["seconds"]) == 3 and taken["loss"] > 0 and last["peak_gib"] > 0


def test_a_worker_that_cannot_go_on_says_why():
    done = programs.run("torch_baseline", "--worker", "--shape=tiny", input="steps\n")
    assert done.returncode != 0 and "JSONDecodeError" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_quick_measurement():
    done = programs.run("torch_baseline", "--quick")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["shape"]["name"] == "tiny" and len(result["seconds"]) == 2
    assert result["loader_s_per_batch"] > 0 and result["machine"]["versions"]["torch"]
