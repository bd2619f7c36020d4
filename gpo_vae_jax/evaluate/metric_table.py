"""The rows of the metric table (`metrics.METRICS`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gpo_vae_jax.evaluate.effects.effect_scores import (
    jaccard_top,
    pearson_r,
    pearson_r_each,
    pearson_r_spread,
    pearson_r_top,
    r_squared,
    r_squared_top,
    rank_of_own,
)

Limits = tuple[float | None, float | None]
EffectScore = Callable[[np.ndarray, np.ndarray, int], float]


class Metric(NamedTuple):
    """A row of the metric table.

    `name` is the key of the number in `Evaluation.summary`, or the last parts of its dotted path;
    `{n}` in it is a parameter, which `metric` fills in: `jaccard_{n}` describes `jaccard_20`.
    `limits` are the ends of its axis, None where the axis follows the values. `of_effects` computes
    the metric from (observed [C, G], predicted [C, G], number of strongest genes); numbers that
    other parts of the evaluation compute have none.
    """

    name: str
    label: str
    unit: str
    higher_is_better: bool | None  # None: neither direction is better
    limits: Limits
    about: str
    of_effects: EffectScore | None = None


_ANY: Limits = (None, None)
_COUNT: Limits = (0, None)
_SHARE: Limits = (0, 1)

METRICS: tuple[Metric, ...] = (
    # predicted effects; shown in this order
    Metric("pearson", "Pearson r", "", True, (-1, 1),
           "Correlation of predicted and observed effects over all pairs of perturbation and gene.",
           pearson_r),
    Metric("r2", "R²", "", True, (None, 1),
           "Share of the variance of observed effects that the prediction explains; negative where "
           "a constant would do better.",
           r_squared),
    Metric("pearson_top", "Pearson r, top genes", "", True, (-1, 1),
           "Pearson r over the genes of largest observed effect of each perturbation.",
           pearson_r_top),
    Metric("r2_top", "R², top genes", "", True, (None, 1),
           "R² over the genes of largest observed effect of each perturbation.",
           r_squared_top),
    Metric("jaccard_{n}", "Jaccard of top {n}", "", True, _SHARE,
           "Overlap (intersection over union) of the {n} strongest predicted and the {n} strongest "
           "observed genes of a perturbation; the mean over perturbations.",
           jaccard_top),
    Metric("pearson_each", "Pearson r of one perturbation", "", True, (-1, 1),
           "Pearson r over the genes of a perturbation; the mean over perturbations.",
           pearson_r_each),
    Metric("pearson_spread", "Spread of r", "", None, _COUNT,
           "Standard deviation over perturbations of Pearson r over the genes of each.",
           pearson_r_spread),
    Metric("rank", "Rank of the own prediction", "", False, _SHARE,
           "Share of the predictions for other perturbations that are nearer to a perturbation's "
           "observed effect than its own is (Euclidean; ties count half); the mean over "
           "perturbations. 0.5 is chance: predictions do not tell perturbations apart.",
           rank_of_own),
    Metric("de_overlap", "Overlap of responding genes", "", True, _SHARE,
           "Share of a perturbation's n significant genes (z-test against control cells, FDR 0.05) "
           "that are among the n strongest predicted ones; the mean over perturbations with any."),
    # of perturbations that training has not seen, beside those above
    Metric("pearson_others", "Pearson r, other genes", "", True, (-1, 1),
           "Pearson r over the genes of a perturbation but the perturbed ones, whose change is no "
           "news; the mean over perturbations."),
    Metric("unseen.{n}.n_perturbations", "Perturbations", "", None, _COUNT,
           "Perturbations with test cells that no training cell carries."),
    Metric("skill.difference", "Lead in r, other genes", "", True, _ANY,
           "Pearson r over other genes of the model minus that of the best baseline (no predicted "
           "change: 0); the mean over perturbations."),
    Metric("skill.standard_error", "Standard error of the lead", "", None, _COUNT,
           "Standard error of the lead over perturbations."),
    # of single perturbations: columns of perturbations.csv
    Metric("r_model", "Pearson r, model", "", True, (-1, 1),
           "Correlation over genes of a perturbation's predicted effect and its effect in test "
           "cells."),
    Metric("r_train_mean", "Pearson r, training mean", "", True, (-1, 1),
           "Correlation over genes of a perturbation's mean effect in training and test cells."),
    Metric("r_others_{n}", "Pearson r, other genes, {n}", "", True, (-1, 1),
           "Correlation over the genes that are not perturbed of the predicted effect and the "
           "effect in test cells, for a perturbation that training has not seen."),
    Metric("own_gene_predicted", "Own gene, predicted", "log2", None, _ANY,
           "Predicted effect on the perturbed gene itself; the mean over genes of a combination."),
    Metric("own_gene_observed", "Own gene, observed", "log2", None, _ANY,
           "Effect on the perturbed gene itself in test cells; a mean over genes, too."),
    Metric("acting", "Cells in which it acts", "", None, _SHARE,
           "Share of cells that do not escape the perturbation, as the model has learned it."),
    Metric("monte_carlo.{n}", "Monte-Carlo loss of r", "", False, _COUNT,
           "By how much, relative to r, the Monte-Carlo noise of a prediction may lower r."),
    # the network beside rankings of pairs that need no model
    Metric("truth_auprc", "AUPRC, true network", "", True, _SHARE,
           "Average precision of the ranking of pairs against the true network."),
    Metric("known_auprc", "AUPRC, known networks", "", True, _SHARE,
           "Average precision of the ranking of pairs against the union of known networks."),
    Metric("omitted_share", "Omitted pairs whose target differs", "", False, _SHARE,
           "Share of the testable pairs outside the highest ranked ones whose target differs."),
    Metric("explained.target", "Variance explained by the target", "", None, _SHARE,
           "Share of the variance of edge probabilities between targets; near 1, every regulator "
           "points at the same genes."),
    Metric("explained.source", "Variance explained by the source", "", None, _SHARE,
           "Share of the variance of edge probabilities between sources."),
    # training and fit
    Metric("best_loss", "Validation loss", "", False, _ANY,
           "Lowest validation loss of the run; comparable between runs of equal objectives."),
    Metric("predictive_iwelbo.mean", "Predictive IWELBO", "nats per cell", True, _ANY,
           "Lower bound of the log-probability of a test cell's counts; comparable on the same "
           "cells only."),
    Metric("predictive_iwelbo.standard_error", "Standard error of the IWELBO", "nats per cell",
           None, _COUNT, "Standard error of the mean predictive IWELBO over test cells."),
    # drawn cells
    Metric("quality.observed.{n}", "QC pass rate, {n} MADs, observed libraries", "", True,
           _SHARE,
           "Share of cells drawn as good, at library sizes of good training cells, that pass the "
           "quality control of the data at {n} MADs."),
    Metric("quality.reference.{n}", "QC pass rate, {n} MADs, one library size", "", True,
           _SHARE,
           "Share of cells drawn as good, all of the library size in the settings (10,000 by "
           "default), that pass the quality control of the data at {n} MADs."),
    # the network; an edge never joins a gene to itself
    Metric("n_edges", "Edges", "", None, _COUNT,
           "Called edges of the whole network: probability above the threshold, self edges "
           "excluded."),
    Metric("n_edges_perturbed", "Edges from perturbed genes", "", None, _COUNT,
           "Called edges whose source is a perturbed gene, self edges excluded."),
    Metric("n_edges_block", "Edges between perturbed genes", "", None, _COUNT,
           "Called edges that join two different perturbed genes."),
    Metric("edges.n", "Called edges", "", None, _COUNT,
           "Called edges of the set, self edges excluded."),
    Metric("edges.n_evaluable", "Testable edges", "", None, _COUNT,
           "Called edges whose target is measured and whose source is perturbed in test cells."),
    Metric("paths.length_{n}.n", "Pairs at distance {n}", "", None, _COUNT,
           "Pairs of genes whose shortest path in the network has {n} edges."),
    Metric("n_evaluable", "Testable pairs", "", None, _COUNT,
           "Pairs whose target is measured and whose source is perturbed in test cells."),
    Metric("true_positives", "Pairs whose target differs", "", None, _COUNT,
           "Testable pairs whose target's expression differs between perturbed and control test "
           "cells (Mann-Whitney U, two-sided)."),
    Metric("false_positives", "Pairs whose target does not differ", "", None, _COUNT,
           "Testable pairs whose target's expression does not differ between perturbed and control "
           "test cells."),
    Metric("true_positive_share", "Targets that differ", "", True, _SHARE,
           "Share of testable called edges whose target's expression differs between perturbed and "
           "control test cells, be the effect direct or indirect. It shows that the source acts on "
           "the target, not that the edge itself exists."),
    Metric("random_true_positive_share", "Targets that differ, random pairs", "", None,
           _SHARE, "The share that random testable pairs reach on average."),
    Metric("mean_wasserstein", "Wasserstein distance", "log(1 + counts)", True, _COUNT,
           "Mean distance between the target's expression in perturbed and in control test cells; "
           "compare networks at equal numbers of edges only."),
    Metric("random_mean_wasserstein", "Wasserstein distance, random pairs", "log(1 + counts)",
           None, _COUNT, "The mean distance of random testable pairs."),
    Metric("false_omission_rate", "False omission rate", "", False, _SHARE,
           "Share of pairs without a path in the network whose target differs all the same."),
    Metric("n_omission_pairs", "Pairs behind the false omission rate", "", None, _COUNT,
           "Randomly drawn pairs without a path in the network."),
    # known networks and the truth of simulated data
    Metric("precision", "Precision", "", True, _SHARE,
           "Share of the called edges that the known or true network contains."),
    Metric("random_precision", "Precision of random edges", "", None, _SHARE,
           "Expected precision of as many random edges: the share of pairs that are edges."),
    Metric("recall", "Recall", "", True, _SHARE,
           "Share of the edges of the known or true network that are called."),
    Metric("f1", "F1", "", True, _SHARE, "Harmonic mean of precision and recall."),
    Metric("auprc", "AUPRC", "", True, _SHARE,
           "Area under the precision-recall curve of pairs ranked by edge probability."),
    Metric("random_auprc", "AUPRC of a random ranking", "", None, _SHARE,
           "Expected AUPRC of a random ranking: the share of pairs that are edges."),
    Metric("auroc", "AUROC", "", True, _SHARE,
           "Area under the ROC curve of pairs ranked by edge probability; 0.5 is random."),
    Metric("p_value", "P-value of the overlap", "", False, _SHARE,
           "Probability that as many random edges share at least as many with the known network "
           "(hypergeometric)."),
    Metric("n_known", "Known edges", "", None, _COUNT, "Edges of the known network."),
    Metric("n_true", "True edges", "", None, _COUNT, "Edges of the true network."),
    Metric("n_possible", "Possible edges", "", None, _COUNT, "Pairs of genes that are judged."),
    Metric("n_called", "Called edges", "", None, _COUNT, "Called edges among the judged pairs."),
    Metric("n_shared", "Shared edges", "", None, _COUNT, "Called edges that are known edges."),
    Metric("covered", "Genes covered", "", None, _SHARE,
           "Share of the network's genes that the known network mentions."),
    Metric("stated_precision", "Expected precision", "", None, _SHARE,
           "Expected share of the edges called at the FDR in the settings that are right."),
    Metric("expected_calibration_error", "Expected calibration error", "", False, _SHARE,
           "Mean distance between stated probability and share of edges, in bins of pairs."),
    Metric("bin_{n}.n_pairs", "Pairs, bin {n}", "", None, _COUNT, "Pairs in bin {n} of ten."),
    Metric("bin_{n}.stated", "Stated, bin {n}", "", None, _SHARE, "Mean stated probability."),
    Metric("bin_{n}.observed", "Observed, bin {n}", "", None, _SHARE, "Share that are edges."),
    Metric("linear_score", "True latents explained", "", True, (None, 1),
           "Mean R² of a linear regression of the true latents on the learned ones."),
    Metric("mean_correlation", "Correlation with true latents", "", True, _SHARE,
           "Mean |Pearson r| of learned and true latents under the best one-to-one matching."),
)  # fmt: skip
