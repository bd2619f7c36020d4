"""A data loader over NumPy arrays: single cells, shuffled and collated into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.programs.torch_gpo_vae.objective import Batch, Counts


class CellDataset(Dataset):
    """Single cells as dictionaries of tensors."""

    def __init__(self, cells: Mapping[str, np.ndarray], n_treatments: int):
        perturbation = cells["perturbation"]
        self.cells = cells
        self.dosage = np.zeros((len(perturbation), n_treatments), np.float32)
        perturbed = np.flatnonzero(perturbation >= 0)
        self.dosage[perturbed, perturbation[perturbed]] = 1

    def __len__(self) -> int:
        return len(self.dosage)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        c = self.cells
        return {
            "X": torch.from_numpy(c["counts"][i].astype(np.float32)),
            "D": torch.from_numpy(self.dosage[i]),
            "qc": torch.from_numpy(c["qc_fail"][i]),
            "cfX": torch.from_numpy(c["counterfactual"][i].astype(np.float32)),
            "deltaX": torch.from_numpy(c["delta"][i]),
            "library_size": torch.tensor(c["library_size"][i]),
        }

    def counts(self) -> Counts:
        """Count the cells of each treatment and those that failed quality control."""
        failed = torch.from_numpy((self.cells["qc_fail"] != 0).sum(0))
        return Counts(torch.from_numpy((self.dosage != 0).sum(0)), failed)


def batches(dataset: CellDataset, batch_size: int, device: str = "cpu") -> Iterator[Batch]:
    """Yield full batches forever, shuffled anew in each epoch."""
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True)
    while True:
        for rows in loader:
            yield Batch(**{name: value.to(device) for name, value in rows.items()})
