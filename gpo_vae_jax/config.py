"""Every setting, as frozen dataclasses; config_ranges.py checks their ranges.

The comment beside a field is its documentation: config_help.py reads it for `gpo-vae settings`. A
comment on a line of its own is the heading of the fields below it.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

_Weights = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The data to train on."""

    path: str = ""  # a prepared .h5ad (docs/data.md)
    simulated: bool = False  # no file: simulate cells with the settings of `simulate`
    mask_test: tuple[str, ...] = ()  # ablation: treatments whose dosage is set to 0 in every cell
    cells_in: Literal["auto", "device", "host", "disk"] = (
        "auto"  # where training reads cells from; auto: the first that has room
    )
    store: str = ""  # folder of cells on disk; empty: PATH.cells, beside the file


@dataclasses.dataclass(frozen=True)
class SimulateConfig:
    """Simulated Perturb-seq counts with a known network."""

    n_cells: int = 6000  # number of cells
    n_genes: int = 120  # number of measured genes
    n_perturbed: int = 20  # network genes that are perturbed
    n_extended: int = 10  # network genes that are not perturbed
    edges_per_gene: float = 2.0  # expected out-degree in the true network
    effect: float = 0.8  # typical |weight| of a true edge, in natural log expression
    knockdown: float = 0.85  # share of the target's expression that is lost
    control_fraction: float = 0.25  # share of control cells
    fail_fraction: float = 0.06  # share of damaged cells, which fail quality control
    doublet_fraction: float = 0.02  # share of doublets
    median_umi: float = 4000.0  # median UMI count of a cell
    dispersion: float = 4.0  # concentration of the negative binomial; larger: less noise
    double_fraction: float = 0.0  # share of perturbed cells with two perturbations
    seed: int = 0  # seed of all draws

    # Harder data
    cycles: float = 0.0  # edges added to close feedback loops, as a share of the others
    saturation: float = 0.0  # log change at which responses level off; 0: they are linear
    n_hidden: int = 0  # network genes that are not measured
    escape_fraction: float = 0.0  # share of perturbed cells without the perturbation's effect
    n_batches: int = 1  # number of batches
    batch_effect: float = 0.3  # spread of log expression between batches, for each gene
    batch_imbalance: float = 0.0  # share of a perturbation's cells that is in a batch of its own


@dataclasses.dataclass(frozen=True)
class PrepareConfig:
    """How raw counts become a prepared file (docs/data.md)."""

    # Raw file
    perturbation_key: str = "perturbation"  # obs column that names the perturbed gene
    control: str = "non-targeting"  # label of control cells in that column, or a pattern: NT-*
    more_controls: tuple[str, ...] = ()  # further labels or patterns of control cells
    join_controls: bool = True  # labels that are plainly controls join the named ones
    combination_separator: str = "+"  # "A+B" perturbs A and B; empty: never split labels
    guide_labels: Literal["gene", "whole"] = "gene"  # GENE_sg1 is GENE, or a name of its own
    same_gene: Literal["apart", "merge"] = "apart"  # GENE_KO and GENE_OE, or doses of one gene
    label_table: str = ""  # csv or tsv: what each label stands for, a gene or the control
    unlabelled: Literal["refuse", "drop", "keep"] = "refuse"  # cells without a label
    guide_key: str = ""  # obs column of guides; empty: found by its name
    guide_min_umi: int = 3  # UMIs of the dominant guide, where guides are assigned by counts
    guide_min_share: float = 0.6  # its least share of the cell's UMIs of guides
    gene_name_key: str = ""  # var column with other gene names; empty: the well-known columns
    layer: str = ""  # layer with raw counts; empty: X, or the only layer that has them
    use_raw: bool = False  # take raw counts and their genes from adata.raw
    counts: Literal["whole", "round", "trust"] = "whole"  # round: fractions; trust: not suspected
    recorded: Literal["all", "all_but_matches", "nothing"] = (
        "all"  # what a published file has that is reused
    )
    matched_key: str = ""  # obs column with recorded matches; empty: found by its name

    # Cells to keep
    strong_table: str = ""  # xlsx or csv with a row for each perturbation; empty: keep all
    strong_sheet: str = ""  # sheet of the xlsx
    strong_names: Literal["second_field", "whole"] = "second_field"  # where the gene's name is
    strong_min_degs: int = 50  # strong: changes MORE genes than this
    strong_max_knockdown: float = -0.3  # strong: changes its target by at most this share
    strong_min_cells: int = 25  # strong: has MORE cells than this
    knockdown: bool = False  # keep only cells whose target is low
    knockdown_percentile: float = 10.0  # low: at most this percentile of control cells
    unmeasured: Literal["drop", "keep"] = "keep"  # cells whose gene is not measured
    min_cells: int | None = None  # keep perturbations with MORE cells; none: genes with 3 or more

    # Splits
    split_key: str = "split"  # obs column with train, val, test if the file has it; empty: draw
    split: Literal["by_name", "reference", "by_perturbation", "by_combination", "gears"] = (
        "by_name"  # by cell (hash of its name, row order), or whole perturbations
    )

    # Quality control
    qc_threshold: float = 3.0  # a cell fails beyond this many MADs from the median
    qc_also: tuple[float, ...] = (4.0, 5.0)  # further thresholds in MADs, for evaluation
    qc_metrics: tuple[str, ...] = (  # metrics that can fail a cell; omit shares on a small panel
        "UMI_count",
        "ngenes",
        "pct_counts_mt",
        "pct_counts_ribo",
        "pct_counts_hb",
    )
    qc_largest_share: float = 0.2  # a metric that alone fails a larger share is left out
    scrublet: Literal["off", "whole", "batch", "slices"] = "off"  # how doublets are found
    batch_key: str = ""  # obs column of batches: a covariate; matched within; scrublet=batch
    covariates: tuple[str, ...] = ()  # further obs columns of categories for the model
    backend: Literal["auto", "scanpy", "rapids"] = "auto"  # auto: rapids where it works

    # Network genes and matched controls
    network_genes: str = "extended"  # extended, perturbed, all, a number, or a file of names
    network_most: int = 2000  # most genes that the network may have
    extended_genes: Literal["none", "both", "up_only"] = "both"  # how responsive genes join
    extended_log_fold_change: float = 3.0  # least |log2 fold change| of an extended gene
    extended_p: float = 0.01  # largest adjusted p-value of an extended gene
    matching: Literal["ot", "hpm", "wd", "wd_nearest"] = "ot"  # how controls are matched
    seed: int = 0  # seed of all draws


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The generative model and the guide (docs/method.md 2-4)."""

    # Sizes
    n_latent: int = 200  # latent dimensions, L; 0: chosen from the data
    basal_encoder_n_layers: int = 1  # layers of the cell encoder
    basal_encoder_n_hidden: int = 200  # width of the cell encoder; 0: chosen from the data
    embedding_encoder_n_layers: int = 4  # layers of the effect encoder
    embedding_encoder_n_hidden: int = 400  # width of the effect encoder
    decoder_n_layers: int = 1  # layers of the decoder, which has one more than this
    decoder_n_hidden: int = 400  # width of the decoder; 0: chosen from the data

    # Structure
    likelihood_key: str = (
        "library_nb"  # head of the counts: library_nb, poisson, normal, normal_fixed_variance
    )
    input_normalization: Literal["log_standardize", "standardize", "none"] = (
        "log_standardize"  # normalisation of the cell encoder's input
    )
    sum_mode: bool = False  # add the latents (needs n_latent = T) instead of concatenating them
    mean_field_encoder: bool = False  # q(z | X) instead of q(z | X, D, qc, E, M)

    # Effects
    effect: Literal["latent", "propagated"] = (
        "latent"  # through hidden layers, or along the edges and added to the logits
    )
    effect_guide: Literal["encoder", "table"] = "encoder"  # q(E | M), or q(E) as a table
    effect_init: Literal["random", "deconvolution"] = (
        "random"  # effects near 0, or effects and edges by ridge deconvolution
    )
    propagate: int = 5  # steps that propagated effects take along the edges
    escape_prior: float = 0.0  # prior share of cells without effect; 0: it acts in every cell
    readout_prior: float = 0.1  # prior probability that a gene outside follows a network gene
    readout_prior_scale: float = 1.0  # prior standard deviation of the weight with which it does

    # Network
    logits_or_probs: Literal["logits", "probs"] = "logits"  # parameter of an edge
    mask_init: float = 0.0  # initial value of every logit or probability
    knowledge_path: str = ""  # .npy with T x T prior probabilities of edges, to start from
    temperature: float = 1.0  # temperature of the relaxed Bernoulli of an edge
    mask_prior: float = 0.3  # prior probability of an edge
    embedding_prior_scale: float = 1.0  # prior standard deviation of an effect


@dataclasses.dataclass(frozen=True)
class ReweightConfig:
    """Weights of the reweighted ELBO, in the order mask, embedding, quality, basal."""

    prior: _Weights = (1.0, 1.0, 1.0, 1.0)  # weights of log p(v)
    term: _Weights = (1.0, 1.0, 1.0, 1.0)  # weights of log p(v) - log q(v)
    observation: tuple[float, float, float] = (1.0, 1.0, 1.0)  # weights of a cell's part


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """The loss (docs/method.md 5)."""

    objective: Literal["elbo", "iwelbo", "reweighted_elbo"] = "elbo"  # the bound
    reweight: ReweightConfig = ReweightConfig()
    beta: float = 0.1  # weight of the counterfactual KL
    cell_weights: Literal["quality", "equal"] = "quality"  # of the likelihood: alpha's, or 1
    alpha: float | None = None  # weight of passed cells; none: the batch's share of failed cells
    kl: Literal["sampled", "analytic"] = "sampled"  # divergence of network and effects from priors
    counterfactual_kl: Literal["upstream", "exact"] = "upstream"  # as published, or the exact KL
    hop: int = 5  # network alignment follows paths of up to hop + 1 edges
    gloss_coeff: float = 100.0  # weight of the network alignment
    fc_criteria: float = 0.5  # change of log expression above which a gene has responded
    penalty_coeff: float = 10.0  # weight of the penalty on edges; larger: fewer edges
    invariance_coeff: float = 0.0  # weight of the distance of perturbed from control cells in z


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The optimisation (docs/method.md 6)."""

    seed: int = 0  # seed of initial parameters, batches and noise
    batch_size: int = 512  # cells per step; 0: chosen from the data
    n_particles: int = 5  # Monte Carlo samples per cell
    network_samples: int = 0  # samples of the network per step; 0: one for each particle
    precision: Literal["float32", "tf32", "bf16"] = "float32"  # of matrix products on a GPU
    deterministic: bool = False  # the same bits every time on a GPU, too; slower

    # Length
    max_epochs: int = 2000  # largest number of epochs; 0: chosen from the data
    patience: int = 30  # stop after this many epochs without a new best validation loss

    # Optimiser
    optimizer: Literal["adam", "sgd"] = "adam"  # sgd has momentum and a cyclic learning rate
    learning_rate: float = 3e-4  # learning rate of Adam
    schedule: Literal["constant", "warmup_cosine"] = "constant"  # of the learning rate, over a run
    warmup: float = 0.05  # share of the steps in which warmup_cosine rises
    final_rate: float = 0.01  # share of the learning rate at which warmup_cosine ends
    mask_rate: float = 1.0  # times the learning rate: that of the edges' parameters
    weight_decay: float = 1e-6  # coupled weight decay, added to the clipped gradient
    gradient_clip_norm: float = 100.0  # largest global norm of the gradient
    cyclic_low: float = 5e-4  # lowest learning rate of SGD's triangular cycle
    cyclic_high: float = 5e-3  # highest learning rate of SGD's triangular cycle
    cyclic_step_size_up: int = 447  # steps from the lowest to the highest rate

    # Checkpoints
    checkpoint_every_steps: int = 2000  # steps between numbered checkpoints
    save_every_seconds: float = 60.0  # seconds between saves of the state to resume from


@dataclasses.dataclass(frozen=True)
class DevicesConfig:
    """How many devices share a training (docs/clusters.md)."""

    members: int = 0  # devices that share seeds and settings trained at once; 0: all
    cells: int = 1  # devices that share the cells of a batch; 0: all that are left
    genes: int = 1  # devices that share the genes of decoder and data


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """The evaluation of a trained model (docs/method.md 8)."""

    seed: int = 0  # seed of all draws
    memory_gib: float = 2.0  # GiB that one chunk of the work may take

    # Effects
    iwelbo_particles: int = 100  # samples per test cell for the predictive bound
    effect_cells: int = 1000  # training cells that lend their latents to an average effect
    effect_particles: int = 2500  # draws per average effect at one library size, as published
    library_size: float = 10_000.0  # UMI count of the cells drawn as published
    top: int = 20  # strongest genes per perturbation that "top genes" metrics use
    top_sets: tuple[int, ...] = (20, 50)  # numbers of strongest genes compared by Jaccard index
    quality_cells: int = 100  # good cells drawn per perturbation to check their quality

    # Network
    threshold: float = 0.5  # an edge is called above this probability
    fdr: float = 0.1  # expected false discovery rate of calibrated calls
    max_path_length: int = 3  # longest path tested, in edges
    p_value: float = 0.05  # an edge whose test is below it is a true positive
    omission_pairs: int = 500  # unconnected pairs tested for the false omission rate
    matched_edges: tuple[int, ...] = (500, 1000, 2000, 3000)  # edge counts to compare runs at


@dataclasses.dataclass(frozen=True)
class Config:
    """Every setting of a run."""

    name: str = "gpo_vae"  # name of the settings
    data: DataConfig = DataConfig()
    simulate: SimulateConfig = SimulateConfig()
    prepare: PrepareConfig = PrepareConfig()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    train: TrainConfig = TrainConfig()
    devices: DevicesConfig = DevicesConfig()
