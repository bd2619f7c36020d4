"""Every setting, as frozen dataclasses; config_ranges.py checks their ranges."""

from __future__ import annotations

import dataclasses
from typing import Literal

_Weights = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Say which prepared file to train on."""

    path: str = ""  # a prepared .h5ad (docs/data.md)
    simulated: bool = False  # no file: data simulated by the settings in `simulate`
    mask_test: tuple[str, ...] = ()  # treatments whose dosage is set to 0 in all cells (ablation)


@dataclasses.dataclass(frozen=True)
class SimulateConfig:
    """Describe simulated Perturb-seq counts with a known network."""

    n_cells: int = 6000
    n_genes: int = 120
    n_perturbed: int = 20
    n_extended: int = 10
    edges_per_gene: float = 2.0  # expected out-degree in the true network
    effect: float = 0.8  # typical |weight| of a true edge, on the log scale
    knockdown: float = 0.85  # share of the target's expression that is lost
    control_fraction: float = 0.25
    fail_fraction: float = 0.06  # cells that failed quality control (damaged)
    doublet_fraction: float = 0.02
    median_umi: float = 4000.0
    dispersion: float = 4.0  # negative binomial concentration
    double_fraction: float = 0.0  # cells with two perturbations
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """Say how raw counts become a prepared file."""

    # what the input holds
    perturbation_key: str = "perturbation"  # obs column with the perturbed gene
    control: str = "non-targeting"  # its value in control cells
    combination_separator: str = "+"  # "A+B": both genes are perturbed; empty: never split names
    gene_name_key: str = ""  # var column with other names of genes; empty: the well-known ones
    layer: str = ""  # layer with raw counts; empty: X
    use_raw: bool = False  # raw counts (and their genes) are in adata.raw
    recorded: Literal["all", "all_but_matches", "nothing"] = "all"  # of a published file: reuse
    matched_key: str = ""  # obs column with recorded matches; empty: the one whose name says so
    # which cells are kept
    strong_table: str = ""  # xlsx or csv with a summary of each perturbation; empty: keep all
    strong_sheet: str = ""  # sheet of the xlsx
    strong_names: Literal["second_field", "whole"] = "second_field"  # where the gene is
    strong_min_degs: int = 50  # strong perturbations change MORE genes than this,
    strong_max_knockdown: float = -0.3  # change their target by at most this share,
    strong_min_cells: int = 25  # and have MORE cells than this
    knockdown: bool = False  # keep the cells whose target is low
    knockdown_percentile: float = 10.0  # at most this percentile of the control cells
    unmeasured: Literal["drop", "keep"] = "drop"  # cells whose perturbed gene is not measured
    min_cells: int = 0  # perturbations need MORE cells than this; 0: keep all
    # splits
    split_key: str = "split"  # obs column with train / val / test, if the file has it; empty: draw
    split: Literal["by_name", "reference"] = "by_name"  # by the cell's name, or by row order
    # quality
    qc_threshold: float = 3.0  # MADs from the median
    qc_also: tuple[float, ...] = (4.0, 5.0)  # further thresholds, for evaluation
    qc_metrics: tuple[str, ...] = (  # what can fail a cell; leave out what a panel cannot show
        "UMI_count",
        "ngenes",
        "pct_counts_mt",
        "pct_counts_ribo",
        "pct_counts_hb",
    )
    scrublet: Literal["off", "whole", "batch", "slices"] = "off"  # how doublets are flagged
    batch_key: str = ""  # obs column for scrublet="batch"
    backend: Literal["auto", "scanpy", "rapids"] = "auto"  # auto: rapids if it can
    # network genes and matched controls
    extended_genes: Literal["none", "both", "up_only"] = "both"
    extended_log_fold_change: float = 3.0
    extended_p: float = 0.01
    matching: Literal["ot", "hpm", "wd", "wd_nearest"] = "ot"  # control matching
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Describe the generative model and the guide (docs/method.md 2-4)."""

    n_latent: int = 200  # L
    basal_encoder_n_layers: int = 1
    basal_encoder_n_hidden: int = 200
    embedding_encoder_n_layers: int = 4
    embedding_encoder_n_hidden: int = 400
    decoder_n_layers: int = 1  # the decoder has one residual layer more
    decoder_n_hidden: int = 400
    likelihood_key: Literal["library_nb", "poisson", "normal", "normal_fixed_variance"] = (
        "library_nb"
    )
    input_normalization: Literal["log_standardize", "standardize", "none"] = "log_standardize"
    sum_mode: bool = False  # add the latents (needs n_latent = T) instead of concatenating them
    mean_field_encoder: bool = False  # q(z | X) instead of q(z | X, D, qc, E, M)
    logits_or_probs: Literal["logits", "probs"] = "logits"
    mask_init: float = 0.0
    knowledge_path: str = ""  # .npy with T x T prior probabilities of edges
    temperature: float = 1.0  # of the relaxed Bernoulli
    mask_prior: float = 0.3
    embedding_prior_scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class ReweightConfig:
    """Weigh the terms of the reweighted ELBO: (mask, embedding, quality, basal)."""

    prior: _Weights = (1.0, 1.0, 1.0, 1.0)  # on log p(v)
    term: _Weights = (1.0, 1.0, 1.0, 1.0)  # on log p(v) - log q(v)
    observation: tuple[float, float, float] = (1.0, 1.0, 1.0)  # a cell's share of shared variables


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """Describe what is minimised (docs/method.md 5)."""

    objective: Literal["elbo", "iwelbo", "reweighted_elbo"] = "elbo"
    reweight: ReweightConfig = ReweightConfig()
    beta: float = 0.1  # of the counterfactual KL
    alpha: float | None = None  # weight of passed cells; unset: the batch's share of failed cells
    counterfactual_kl: Literal["upstream", "exact"] = "upstream"
    hop: int = 5  # paths of up to hop + 1 edges count
    gloss_coeff: float = 100.0
    fc_criteria: float = 0.5
    penalty_coeff: float = 10.0


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Describe the optimisation (docs/method.md 6)."""

    seed: int = 0
    batch_size: int = 512
    n_particles: int = 5
    precision: Literal["float32", "tf32", "bf16"] = "float32"  # of matrix products, on a GPU
    max_epochs: int = 2000
    patience: int = 30  # epochs without a new best validation loss
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 3e-4  # of Adam
    weight_decay: float = 1e-6  # coupled: added to the clipped gradient
    gradient_clip_norm: float = 100.0
    cyclic_low: float = 5e-4  # lowest and highest rate of SGD's triangular cycle
    cyclic_high: float = 5e-3
    cyclic_step_size_up: int = 447
    checkpoint_every_steps: int = 2000
    save_every_seconds: float = 60.0  # how often the state to resume from is written


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """Say how a trained model is evaluated (docs/method.md 8); not part of a run's settings."""

    seed: int = 0
    iwelbo_particles: int = 100
    effect_particles: int = 2500  # draws behind each average treatment effect
    library_size: float = 10_000.0  # UMI counts of the cells drawn for effects
    top: int = 20  # strongest genes of a perturbation that are looked at
    top_sets: tuple[int, ...] = (20, 50)  # sizes of the sets of strongest genes compared
    quality_cells: int = 100  # good cells drawn for each perturbation
    threshold: float = 0.5  # an edge is called above this probability
    max_path_length: int = 3
    p_value: float = 0.05  # an edge below it is a true positive
    omission_pairs: int = 500
    matched_edges: tuple[int, ...] = (500, 1000, 2000, 3000)
    memory_gib: float = 2.0  # what one chunk of the work may take


@dataclasses.dataclass(frozen=True)
class Config:
    """Hold every setting of a run."""

    name: str = "gpo_vae"
    data: DataConfig = DataConfig()
    simulate: SimulateConfig = SimulateConfig()
    prepare: PrepareConfig = PrepareConfig()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    train: TrainConfig = TrainConfig()


def compiled_part(config: Config) -> Config:
    """Return the settings that a compiled epoch depends on, all others at their default.

    Runs that differ in the rest (seed, patience, paths) share one program.
    """
    default = TrainConfig()
    host = ("seed", "max_epochs", "patience", "checkpoint_every_steps", "save_every_seconds")
    reset = {name: getattr(default, name) for name in host}
    return Config(
        model=dataclasses.replace(config.model, knowledge_path="", mask_init=0.0),
        objective=config.objective,
        train=dataclasses.replace(config.train, **reset),
    )
