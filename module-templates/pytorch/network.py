"""The network, without its weights: what trains it and what scores with it both need this."""

import torch
from torch import nn

HOURS = 48
"""Readings that a forecast begins with, one an hour."""
MEAN, SPREAD = 15.0, 8.0
"""Of the temperatures it was trained with, in degrees Celsius."""


class Forecaster(nn.Module):  # type: ignore[misc, unused-ignore] # torch may not be here
    """Says what the next hour's temperature will be."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.GRU(1, 16, batch_first=True)
        self.change = nn.Linear(16, 1)

    def forward(self, readings: torch.Tensor) -> torch.Tensor:
        """Return forecasts in degrees Celsius, of shape ``(batch, 1)``.

        Args:
            readings: Degrees Celsius, of shape ``(batch, HOURS)``, the latest one last.
        """
        scaled = (readings - MEAN) / SPREAD
        remembered, _ = self.memory(scaled.unsqueeze(-1))
        return readings[:, -1:] + SPREAD * self.change(remembered[:, -1])
