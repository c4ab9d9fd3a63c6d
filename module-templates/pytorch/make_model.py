"""Train the model: python make_model.py FOLDER; needs what environment.txt lists.

With --program it writes another form, for ``skerry model convert``: see README.md.
"""

import argparse
import math
from pathlib import Path

import torch
from network import HOURS, MEAN, SPREAD, Forecaster
from safetensors.torch import save_file

DAYS = 2000
STEPS = 300
BATCH = 64


def temperatures(days: int, seed: int) -> torch.Tensor:
    """Return made-up temperatures of a greenhouse, one an hour, of shape ``(24 * days,)``.

    It is warmest at 14 o'clock; how warm, and how large the difference to the night, wanders from
    day to day.
    """
    generator = torch.Generator().manual_seed(seed)
    hours = torch.arange(24 * days)
    daily = torch.randn(days, generator=generator).repeat_interleave(24)
    swing = 4 + 2 * torch.rand(days, generator=generator).repeat_interleave(24)
    noise = 0.1 * torch.randn(24 * days, generator=generator)
    smooth = torch.nn.functional.avg_pool1d(
        (MEAN + SPREAD / 2 * daily)[None, None], 25, stride=1, padding=12, count_include_pad=False
    )[0, 0]
    return smooth + swing * torch.cos(2 * math.pi * (hours - 14) / 24) + noise


def trained() -> Forecaster:
    """Return a network that was trained on made-up temperatures, the same one at every call."""
    torch.manual_seed(7)
    torch.set_num_threads(1)
    model, series = Forecaster(), temperatures(DAYS, seed=7)
    windows = series.unfold(0, HOURS + 1, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        chosen = windows[torch.randint(len(windows), (BATCH,))]
        loss = torch.nn.functional.mse_loss(model(chosen[:, :-1]), chosen[:, -1:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    return model


def main() -> None:
    """Write ``forecast.safetensors``, the weights alone, or ``forecast.pt2``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made if it is not there")
    parser.add_argument("--program", action="store_true", help="write network and weights as one")
    chosen = parser.parse_args()
    folder: Path = chosen.folder
    model = trained()
    folder.mkdir(parents=True, exist_ok=True)
    if chosen.program:
        shapes = ({0: torch.export.Dim.DYNAMIC},)
        example = (torch.full((2, HOURS), MEAN),)
        torch.export.save(
            torch.export.export(model, example, dynamic_shapes=shapes), folder / "forecast.pt2"
        )
    else:
        save_file(model.state_dict(), folder / "forecast.safetensors")


if __name__ == "__main__":
    main()
