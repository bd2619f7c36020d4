"""The cards that programs are compiled for, from public figures, and how fast they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

_TARGETS = Path(__file__).resolve().parent / "targets"


@dataclasses.dataclass(frozen=True)
class Card:
    """A card: what the compiler is told, and the rates that a program can count on."""

    name: str
    label: str
    bandwidth: float  # bytes a second, of its memory
    rates: Mapping[str, float]  # operations a second of products, by precision

    def target(self) -> str:
        """Return what the compiler is told."""
        return (_TARGETS / f"{self.name}.txtpb").read_text()


CARDS = {
    card.name: card
    for card in (
        Card("h100", "H100", 3.35e12, {"float32": 60e12, "tf32": 400e12, "bf16": 700e12}),
        Card("rtx4090", "RTX 4090", 1.008e12, {"float32": 65e12, "tf32": 65e12, "bf16": 130e12}),
    )
}
