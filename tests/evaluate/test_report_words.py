"""What the report says in words and tables: verdict, missed perturbations, command, title."""

import dataclasses
import shlex

import numpy as np
import pandas as pd
import pytest

from gpo_vae_jax.cli.overrides import EVALUATION, merged, separate
from gpo_vae_jax.config import EvaluateConfig
from gpo_vae_jax.config_io import from_dict
from gpo_vae_jax.evaluate import metrics
from gpo_vae_jax.evaluate.report.missed_perturbations import missed_perturbations, missed_section
from gpo_vae_jax.evaluate.report.network_tables import edges_table, regulators_table
from gpo_vae_jax.evaluate.report.overview import describe_run, network_words, title_of
from gpo_vae_jax.evaluate.report.prediction_section import metrics_section
from gpo_vae_jax.evaluate.report.repeat import repeat_command
from gpo_vae_jax.evaluate.report.training_section import training_section
from gpo_vae_jax.evaluate.report.verdict import judge
from tests.evaluate.report_example import example, example_history

MINUS = "\N{MINUS SIGN}"
ERROR = metrics.Metric("rmse", "RMSE", "log2", False, (0, None), "Root of the mean squared error.")


def scored(**scores):
    """Return a summary with Pearson r of some predictions on test cells."""
    found = {who: {"pearson": r} for who, r in scores.items()}
    return {"effects": {"perturbseq": {"held_out": found}}}


@pytest.mark.parametrize(
    ("scores", "kind", "headline"),
    [
        ((0.5, 0.6, 0.2), "below", "Better than the global mean, but worse than the training mean"),
        ((0.7, 0.6, 0.2), "above", "Better than all baselines"),
        ((0.1, 0.6, 0.2), "below", "Worse than all baselines"),
        ((0.6, 0.6, 0.2), "even", "Better than the global mean, level with the training mean"),
        ((0.6, 0.6, 0.6), "even", "Level with all baselines"),
        ((0.7, 0.6, None), "above", "Better than the training mean"),
        ((0.6, None, None), "unknown", "No baseline to compare with"),
        ((None, 0.6, 0.2), "unknown", "No verdict"),
    ],
)
def test_the_verdict_names_the_baselines_that_are_beaten(scores, kind, headline):
    found = judge(scored(**dict(zip(("model", "train_mean", "global_mean"), scores, strict=True))))
    assert found[0] == kind
    assert f"<strong>{headline}. </strong>" in found[1]


def test_the_verdict_counts_metrics_in_the_direction_of_each(monkeypatch):
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, ERROR))
    summary = scored(model=0.5, train_mean=0.6)
    metrics_of = summary["effects"]["perturbseq"]["held_out"]
    metrics_of["model"]["rmse"], metrics_of["train_mean"]["rmse"] = 0.1, 0.2
    assert (
        "Of 2 metrics on test cells, the model beats the training mean in 1." in judge(summary)[1]
    )


def test_the_best_value_is_marked_in_the_direction_of_its_metric(monkeypatch):
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, ERROR))
    summary = scored(model=0.5, train_mean=0.6, ceiling=0.9)
    values = {"model": 0.111, "train_mean": 0.222, "ceiling": 0.011}
    for who, value in values.items():
        summary["effects"]["perturbseq"]["held_out"][who]["rmse"] = value
    body = metrics_section(summary).body
    best = [part.partition("</span>")[0] for part in body.split('class="best">')[1:]]
    assert best == ["0.600", "0.111"]
    assert "(lower is better)" in body


def missed(*rows):
    """Return a table of perturbations: name, r of the model and of the mean, own gene twice."""
    names = ["perturbation", "r_model", "r_train_mean", "own_gene_predicted", "own_gene_observed"]
    return pd.DataFrame(rows, columns=names).assign(cells_train=80, cells_test=20)


def test_missed_perturbations_come_the_worst_first():
    found = missed_perturbations(
        missed(
            ("fine", 0.8, 0.85, -2.0, -2.1),
            ("weak", 0.5, 0.8, -0.4, -2.0),
            ("constant", np.nan, 0.3, 0.0, -1.0),
            ("lost", 0.0, 0.9, -0.1, -3.0),
            ("better", 0.9, 0.7, -2.0, -2.0),
        )
    )
    assert list(found["perturbation"]) == ["constant", "lost", "weak"]


def test_the_section_of_missed_perturbations_says_how_their_own_genes_are_predicted():
    some = missed(("a", 0.0, 0.9, -0.1, -3.0), ("b", 0.1, 0.5, -2.9, -3.0), ("c", 0.9, 0.9, 0, 0))
    section = missed_section(some)
    assert "For 2 of 3 perturbations" in section
    assert "For 1 of these it predicts less than half" in section
    assert f"{MINUS}0.10 / {MINUS}3.00" in section
    assert "It also predicts less than half" in missed_section(some[:1])
    assert "None of 1 perturbation" in missed_section(missed(("c", 0.9, 0.9, 0, 0)))
    assert "No perturbation has test cells" in missed_section(pd.DataFrame())


def test_a_long_table_of_missed_perturbations_is_cut_and_says_so():
    many = missed(*[(f"p{i}", 0.0, 0.5, 0.0, -1.0) for i in range(40)])
    section = missed_section(many)
    assert "The 15 worst missed perturbations" in section
    assert section.count("<tr>") == 16


def options_of(command):
    """Return the evaluation settings of a command, as the command line reads them."""
    words = shlex.split(command)
    rest, overrides = separate(words, EVALUATION)
    return rest, from_dict(merged({}, overrides), EvaluateConfig, "evaluate")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"seed": 3, "threshold": 0.75, "top_sets": (10, 30), "matched_edges": (500,)},
        {"memory_gib": 0.5, "library_size": 5000.0, "top_sets": (7,)},
    ],
)
def test_the_command_repeats_every_option(changed):
    settings = EvaluateConfig(**changed)
    run = {
        "workdir": "runs/my run",
        "options": {"data_path": "moved/data.h5ad", "networks": ["A=a b.tsv", "B=gmt:b.gmt"]},
    }
    summary = {"run": run, "settings": dataclasses.asdict(settings)}
    command = repeat_command(summary)
    rest, read = options_of(command)
    assert read == settings
    assert rest[:2] == ["gpo-vae", "evaluate"]
    assert rest[2:] == [
        *("--workdir=runs/my run", "--data=moved/data.h5ad"),
        *("--networks", "A=a b.tsv", "B=gmt:b.gmt"),
    ]
    assert command.count("--evaluate.") == len(changed)


def test_without_a_folder_the_evaluation_is_repeated_in_python():
    summary = {"run": {"workdir": None, "options": {"networks": ["A=a.tsv"]}}}
    command = repeat_command({**summary, "settings": {"top_sets": [5, 9], "seed": 0}})
    assert "gv.evaluate(trained, prepared, networks=['A=a.tsv'], top_sets=(5, 9))" in command
    compile(command, "repeat", "exec")


@pytest.mark.parametrize(
    ("name", "path", "title"),
    [
        ("rpe1", "data/rpe1_prepared.h5ad", "rpe1"),
        ("anndata", "/home/me/my_screen.h5ad", "my_screen"),
        ("anndata", "C:\\screens\\mine.h5ad", "mine"),
        ("anndata", "in memory", "Data in memory"),
        ("anndata", "simulated", "Simulated data"),
        ("my name", "in memory", "my name"),
    ],
)
def test_own_data_is_called_by_its_file(name, path, title):
    assert title_of({"run": {"name": name, "data": {"path": path}}}) == title


def test_a_best_epoch_among_the_last_suggests_longer_training():
    run = {"data": {"path": "x.h5ad"}, "epochs": 100, "best_epoch": 97, "best_loss": 1.0}
    assert "longer training may help" in describe_run({"run": run})
    assert "longer training" not in describe_run({"run": {**run, "best_epoch": 60}})


def test_confirmation_and_correctness_are_told_apart():
    network = {
        "n_edges": 38,
        "n_edges_block": 25,
        "all": {"edges": {"n": 38, "n_evaluable": 38, "true_positives": 38}},
    }
    truth = {"auprc": 0.44, "random_auprc": 0.04, "mask": {"precision": 0.42, "recall": 0.76}}
    size, confirmed, true = network_words({"network": network, "truth": truth})
    assert "Edges of a gene to itself are not counted." in size
    assert "38 of the 38 edges" in confirmed
    assert "not the share of edges that are correct" in confirmed
    assert "42\N{NO-BREAK SPACE}% of the edges are correct" in true
    assert "42" not in confirmed


def test_regulators_explain_both_numbers_of_targets():
    table = regulators_table(example(n_perturbed=8).regulators, 0.5)
    assert "Targets: genes with an edge" in table
    assert "Probability sum: over all other genes" in table


def test_edges_name_the_known_networks_that_have_them():
    edges = example(n_perturbed=8).edges.head(2)
    known = {"known_T": [True, False], "sign_T": ["activation", ""], "known_union": [True, False]}
    table = edges_table(edges.assign(known_C=[True, False], **known), 0.5)
    assert "C, T (activation)" in table
    assert "union" not in table


def test_of_several_seeds_the_history_of_the_evaluated_one_is_shown():
    random = np.random.default_rng(0)
    history = pd.concat([example_history(n, random).assign(seed=n) for n in (3, 5)])
    for seed in (3, 5):
        section = training_section({"run": {"seed": seed}}, history[["epoch", "val_loss", "seed"]])
        assert f"over {seed} epochs" in section.body
