"""Sections of benchmarks with a single result: preparation, start, effects, network statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rendering.plots import seconds
from benchmarks.rendering.tables import NAMES, gib, table, with_spread, wrapped


def preparation(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the seconds of the preparation by stage, and its parts beside other programs."""
    if not entries:
        return None
    of = entries[0]["preparation"]
    taken = sorted(of["stages_s"].items(), key=lambda item: -item[1])
    stages = ", ".join(f"{name} {seconds(s)}" for name, s in taken if s >= 1)
    whole = wrapped(
        f"{of['cells']:,} cells, {of['genes']:,} genes, {of['perturbations']} perturbations: "
        f"**{seconds(of['total_s'])}**, peak memory {gib(of['peak_gib'])}. By stage: {stages}."
    )
    beside = entries[0].get("side_by_side")
    if not beside:
        return whole
    rows = [
        (part.replace("_", " "), seconds(found["median_s"]["ours"]), name.replace("_", " "),
         seconds(found["median_s"][name]), f"{times:g}", f"{found['share_equal'][name]:.2%}")
        for part, found in beside.items()
        for name, times in found["times_faster"].items()
    ]  # fmt: skip
    head = ("part", "this package", "beside", "its time", "times faster", "equal results")
    return f"{whole}\n\n{table(head, rows)}"


def effects(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the time of average treatment effects."""
    if not entries:
        return None
    e = entries[0]
    return wrapped(
        f"{e['perturbations']} perturbations, {e['genes']:,} genes, {e['particles']:,} particles: "
        f"**{seconds(e['seconds'])}** ({e['ns_per_count']:g} ns for each of "
        f"{e['counts_drawn']:,} counts), peak memory {gib(e['peak_gib'])}, compilation "
        f"{seconds(e['compile_s'])}."
    )


def network_statistics(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the time of the network's statistics beside a loop of scipy's tests."""
    if not entries:
        return None
    e = entries[0]
    ours, scipy, times = e["ours"], e["scipy"], e["times_faster"]
    rows = [
        ("edges alone", seconds(ours["edges_alone_s"]),
         seconds(scipy["edges_alone_s_extrapolated"]), f"{times['edges_alone']:g}"),
        ("edges, paths, omission rates, curve", seconds(ours["whole_s"]),
         seconds(scipy["edges_and_paths_s_extrapolated"]),
         f"{times['whole_against_edges_and_paths']:g}"),
    ]  # fmt: skip
    intro = wrapped(
        f"{e['cells']:,} test cells, {e['genes']:,} genes, {e['edges']:,} edges. The loop is "
        f"extrapolated from {scipy['pairs_timed']} pairs. Peak memory {gib(ours['peak_gib'])}, of "
        f"which the data take {gib(ours['data_gib'])}."
    )
    head = ("statistics", "this package", "loop of scipy", "times faster")
    return f"{intro}\n\n{table(head, rows)}"


def startup(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the time to the end of the first epoch without a cache, and with it cold and warm."""
    if not entries:
        return None
    rows = [
        (e["device"], label, with_spread(e[f"{name}_s"]), seconds(e["epoch_s"][name]))
        for e in entries
        for label, name in (
            ("no cache", "off"), ("first start (empty cache)", "cold"),
            ("second start (warm cache)", "warm"),
        )
    ]  # fmt: skip
    head = ("device", "start", "until the first epoch has ended", "of which the epoch")
    return table(head, rows)


def models(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a step of both models by shape, with products and memory."""
    head = ("shape", "published", "accurate", "times", "GFLOP", "memory of a step", "peak of both")
    rows = [
        (f"{NAMES.get(e['shape'], e['shape'])}, batch {e['batch_size']}, "
         f"{e['n_particles']} particles",
         with_spread(e["published"]), with_spread(e["accurate"]), f"{e['ratio']:g}",
         " / ".join(f"{e['gflop'][name]:g}" for name in ("published", "accurate")),
         " / ".join(
             gib(e["temporary_gib"][name]["temporary_gib"]) for name in ("published", "accurate")
         ),
         gib(e["peak_gib"]))
        for e in entries
    ]  # fmt: skip
    return table(head, rows) if entries else None
