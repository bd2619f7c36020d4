"""Sections of the programs that keep one result each: preparation, effects, network statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.render_plots import seconds
from benchmarks.render_tables import gib, table


def preparation(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Write the preparation of a raw file, by stage, and its parts beside other programs."""
    if not entries:
        return None
    of = entries[0]["preparation"]
    taken = sorted(of["stages_s"].items(), key=lambda item: -item[1])
    stages = ", ".join(f"{name} {seconds(s)}" for name, s in taken if s >= 1)
    whole = (
        f"{of['cells']:,} cells, {of['genes']:,} genes, {of['perturbations']} perturbations: "
        f"**{seconds(of['total_s'])}**, peak {gib(of['peak_gib'])}. By stage: {stages}."
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
    """Write the time of average treatment effects."""
    if not entries:
        return None
    e = entries[0]
    return (
        f"{e['perturbations']} perturbations, {e['genes']:,} genes, {e['particles']:,} particles: "
        f"**{seconds(e['seconds'])}** ({e['ns_per_count']:g} ns for each of "
        f"{e['counts_drawn']:,} counts), peak {gib(e['peak_gib'])}, compile time "
        f"{seconds(e['compile_s'])}."
    )


def network_statistics(entries: Sequence[Mapping[str, Any]]) -> str | None:
    """Write the time of the network's statistics beside a loop of scipy."""
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
    intro = (
        f"{e['cells']:,} test cells, {e['genes']:,} genes, {e['edges']:,} edges; the loop "
        f"extrapolated from {scipy['pairs_timed']} pairs; peak {gib(ours['peak_gib'])}, the data "
        f"{gib(ours['data_gib'])} of it."
    )
    head = ("what", "this package", "loop of scipy", "times faster")
    return f"{intro}\n\n{table(head, rows)}"
