"""How much faster do more workers get through the same work? A table and a figure.

    python workflows/scaling.py --workers 2 --megabytes 400

Runs configs/scaling.yaml on a made-up wind. The time is that of the journal, first region to last.
"""

import argparse
import json
import sys
from pathlib import Path

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from fdgrad_dask.cli import main as fdgrad

CONFIG = Path(__file__).parents[1] / "configs" / "scaling.yaml"
FOLDER = Path("out/scaling")
LATITUDES, LONGITUDES, TIMES = 361, 720, 8  # of one chunk, 8 MB of float32


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2, help="the most to try")
    parser.add_argument("--megabytes", type=int, default=400, help="size of the wind")
    asked = parser.parse_args(arguments)
    wind(asked.megabytes)
    seconds = {}
    for workers in range(1, asked.workers + 1):
        cluster = FOLDER / "cluster.yaml"
        cluster.write_text(f"{{workers: {workers}, threads: 1}}\n")
        if code := fdgrad(["run", str(CONFIG), "--cluster", str(cluster), "--fresh"]):
            return code
        seconds[workers] = span(FOLDER / "target.zarr.journal" / "journal.jsonl")
    table = ["| workers | seconds | MB/s read | speed-up |", "|---|---|---|---|"]
    for workers, took in seconds.items():
        shown = f"{took:.1f} | {asked.megabytes / took:.0f} | {seconds[1] / took:.2f}"
        table.append(f"| {workers} | {shown} |")
    (FOLDER / "scaling.md").write_text("\n".join([*table, ""]))
    print(*table, sep="\n")
    draw(seconds)
    return 0


def wind(megabytes: int) -> None:
    """Noise, a chunk at a time."""
    chunks = max(2, round(megabytes * 1e6 / (2 * 4 * LATITUDES * LONGITUDES * TIMES)))
    shape, chunk = (chunks * TIMES, LATITUDES, LONGITUDES), (TIMES, -1, -1)
    noise = da.random.default_rng(0).standard_normal(shape, dtype=np.float32, chunks=chunk)
    grid = {
        "latitude": ("latitude", np.linspace(90, -90, LATITUDES), {"units": "degrees_north"}),
        "longitude": ("longitude", np.arange(LONGITUDES) / 2, {"units": "degrees_east"}),
    }
    field = xr.DataArray(noise, grid, ("time", "latitude", "longitude"), attrs={"units": "m s-1"})
    pair = {"u": field, "v": -field}
    xr.Dataset(pair).to_zarr(FOLDER / "source.zarr", mode="w", consolidated=False)


def span(journal: Path) -> float:
    """Seconds from the beginning of the first region to the end of the last."""
    regions = [json.loads(line) for line in journal.read_text().splitlines()]
    return max(r["began"] + r["seconds"] for r in regions) - min(r["began"] for r in regions)


def draw(seconds: dict[int, float]) -> None:
    """The speed-up over one worker, beside what it would be without any loss."""
    figure, axes = plt.subplots(layout="constrained")
    axes.plot([*seconds], [*seconds], color="0.7", linestyle="--", label="no loss")
    axes.plot([*seconds], [seconds[1] / s for s in seconds.values()], "o-", label="measured")
    axes.set(xlabel="workers", ylabel="times as fast as one", xticks=[*seconds], ylim=(0, None))
    axes.legend(frameon=False)
    figure.savefig(FOLDER / "scaling.png", dpi=110)


if __name__ == "__main__":
    sys.exit(main())
