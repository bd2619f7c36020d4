"""The report of an evaluation: one page that needs nothing else, and its plots as files."""

from __future__ import annotations

from pathlib import Path

from gpo_vae_jax.evaluate import file_names
from gpo_vae_jax.evaluate.report.drawing import write_png
from gpo_vae_jax.evaluate.report.effects_section import effects_section
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined
from gpo_vae_jax.evaluate.report.method_section import method_section, quality_section
from gpo_vae_jax.evaluate.report.network_section import agreement_section, network_section
from gpo_vae_jax.evaluate.report.overview import overview, title_of
from gpo_vae_jax.evaluate.report.prediction_section import metrics_section
from gpo_vae_jax.evaluate.report.rankings_section import rankings_section
from gpo_vae_jax.evaluate.report.screen_section import screen_section
from gpo_vae_jax.evaluate.report.section import Section
from gpo_vae_jax.evaluate.report.training_section import training_section
from gpo_vae_jax.evaluate.report.unseen_section import unseen_section
from gpo_vae_jax.evaluate.report.wording import name
from gpo_vae_jax.evaluate.results import Evaluation
from gpo_vae_jax.files import write_text

PLOTS = (
    "metrics",
    "unseen",
    "unseen_each",
    "history",
    "effects",
    "top_genes",
    "network",
    "probabilities",
    "matched_edges",
    "known_networks",
    "calibration",
    "guides",
    "quality",
)


def write_report(folder: str | Path, evaluation: Evaluation) -> Path:
    """Write report.html and plots/*.png into a folder, and return the path of the page.

    The page needs no script, no other file and no network. What the evaluation lacks is left out,
    and the page says so. Plots of an earlier report that this one does not have are removed.
    """
    folder = Path(folder)
    sections = report_sections(evaluation)
    (folder / file_names.PLOTS).mkdir(parents=True, exist_ok=True)
    drawn = {plot.name: plot for section in sections for plot in section.plots}
    for plot in PLOTS:
        if plot in drawn:
            write_png(drawn[plot], folder / file_names.PLOTS)
        else:
            (folder / file_names.PLOTS / f"{plot}.png").unlink(missing_ok=True)
    page = folder / file_names.REPORT
    write_text(page, document(evaluation, sections))
    return page


def report_sections(evaluation: Evaluation) -> list[Section]:
    """Return the sections in the order a reader wants them."""
    summary = evaluation.summary
    rankings = rankings_section(summary)
    unseen = unseen_section(summary, evaluation.perturbations)
    screen = screen_section(evaluation.guides, evaluation.control_kinds)
    return [
        overview(summary),
        metrics_section(summary),
        *([unseen] if unseen else []),
        training_section(summary, evaluation.history),
        effects_section(evaluation),
        network_section(evaluation),
        *([rankings] if rankings else []),
        agreement_section(summary),
        *([screen] if screen else []),
        quality_section(summary),
        method_section(summary),
    ]


def document(evaluation: Evaluation, sections: list[Section]) -> str:
    """Return the whole page."""
    title = title_of(evaluation.summary)
    run = evaluation.summary.get("run") or {}
    origin = [f"run {name(run['workdir'])}"] if run.get("workdir") else []
    origin += [f"seed {name(run['seed'])}"] if run.get("seed") is not None else []
    style = Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))
    links = [
        element("li", element("a", part.title, href=f"#{part.anchor}")) for part in sections[1:]
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title}: evaluation of GPO-VAE"),
        element("style", style),
    )
    body = element(
        "body",
        element(
            "header",
            element("p", ", ".join(["GPO-VAE evaluation", *origin]), class_="eyebrow"),
            element("h1", title),
            class_="top",
        ),
        element("nav", element("ul", links), aria_label="Sections"),
        element("main", [part.html() for part in sections]),
        element(
            "footer", element("p", "Written by gpo_vae_jax. The plots are also in plots/*.png.")
        ),
    )
    whole = element("html", head, body, lang="en")
    return joined([Markup("<!doctype html>\n"), whole, Markup("\n")])
