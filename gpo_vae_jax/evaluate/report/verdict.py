"""Which baselines the model beats, in plain words."""

from __future__ import annotations

from typing import Any

from gpo_vae_jax.evaluate import metrics
from gpo_vae_jax.evaluate.report.markup import Markup, element, joined
from gpo_vae_jax.evaluate.report.section import main_cells, main_transform
from gpo_vae_jax.evaluate.report.wording import count, dig, listed, number, plural, real

WHERE = {"held_out": "on test cells", "reference": "on all cells, training cells included"}
_BASELINES = {
    "train_mean": ("the training mean", "the mean effect of a perturbation's own training cells"),
    "shrunk_mean": ("the shrunk mean", "the training mean, shrunk by how noisy it is"),
    "global_mean": ("the global mean", "one mean effect for all perturbations"),
}
_LEVEL = 0.005  # correlations closer than this are called level
_OUTCOMES = {"better": "better than", "level": "level with", "worse": "worse than"}


def judge(summary: dict[str, Any]) -> tuple[str, Markup]:
    """Compare the model with the baselines by Pearson's r over all pairs.

    Returns:
      "below" where it is worse than some baseline, "above" where it is better than all of them,
      "even" otherwise or "unknown"; and the sentences.
    """
    cells = main_cells(summary)
    found = dig(summary, "effects", main_transform(summary), cells) or {}
    model = real(dig(found, "model", "pearson"))
    if model is None:
        text = "No correlation of predicted and observed effects could be computed."
        return "unknown", joined([element("strong", "No verdict. "), text])
    scores = {who: real(dig(found, who, "pearson")) for who in _BASELINES}
    baselines = {who: score for who, score in scores.items() if score is not None}
    outcomes = {who: _outcome(model, score) for who, score in baselines.items()}
    said = (
        f"Predicted effects correlate with observed effects at r = {number(model, 2)} "
        f"{WHERE[cells]}, over all pairs of perturbation and gene. "
    )
    said += "".join(_sentence(who, baselines[who], outcomes[who]) for who in baselines)
    ceiling = real(dig(found, "ceiling", "pearson"))
    if ceiling is not None:
        said += (
            "For comparison with the noise of the data: one half of the training cells predicts "
            f"the other half at {number(ceiling, 2)}. "
        )
    said += _tally(found, list(baselines), cells)
    headline = element("strong", f"{_headline(outcomes)} ")
    return _kind(outcomes), joined([headline, said.strip()])


def _outcome(model: float, baseline: float) -> str:
    if abs(model - baseline) < _LEVEL:
        return "level"
    return "better" if model > baseline else "worse"


def _headline(outcomes: dict[str, str]) -> str:
    """Return the verdict: better than A, level with B, but worse than C."""
    if not outcomes:
        return "No baseline to compare with."
    parts: list[str] = []
    for outcome, text in _OUTCOMES.items():
        beaten = [_BASELINES[who][0] for who, which in outcomes.items() if which == outcome]
        if beaten:
            all_of_them = len(beaten) == len(outcomes) > 1
            but = "but " if parts and outcome == "worse" else ""
            parts.append(f"{but}{text} {'all baselines' if all_of_them else listed(beaten)}")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _sentence(who: str, score: float, outcome: str) -> str:
    title, about = _BASELINES[who]
    text = f"{title.capitalize()} ({about}) reaches {number(score, 2)}"
    if outcome == "worse":
        text += {
            "train_mean": ": for perturbations seen in training it predicts better than the model",
            "shrunk_mean": ": noise taken out of the training mean predicts better than the model",
            "global_mean": ": the model hardly tells perturbations apart",
        }[who]
    return f"{text}. "


def _tally(found: dict[str, Any], baselines: list[str], cells: str) -> str:
    """Return in how many metrics the model beats each baseline."""
    scored = {
        key: score
        for key, value in (dig(found, "model") or {}).items()
        if metrics.direction(metrics.find(key)) and (score := real(value)) is not None
    }
    beaten: list[str] = []
    for who in baselines:
        wins = sum(
            metrics.verdict(metrics.find(key), score - other) == "better"
            for key, score in scored.items()
            if (other := real(dig(found, who, key))) is not None
        )
        beaten.append(f"{_BASELINES[who][0]} in {count(wins)}")
    if len(scored) < 2 or not beaten:
        return ""
    where = WHERE[cells].partition(",")[0]
    return f"Of {plural(len(scored), 'metric')} {where}, the model beats {listed(beaten)}."


def _kind(outcomes: dict[str, str]) -> str:
    if not outcomes:
        return "unknown"
    if "worse" in outcomes.values():
        return "below"
    return "above" if set(outcomes.values()) == {"better"} else "even"
