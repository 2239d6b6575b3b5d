"""The photon transfer curve: a simulated sensor measured as a real one is (EMVA standard 1288).

A pixel that collects mu electrons on average has, in counts,

    mean - black level = mu / K                                                  K: electrons a count
    temporal variance  = (mu + read noise^2) / K^2 + 1 / 12                      Poisson, read-out, rounding
    spatial variance   = temporal variance + (prnu mu / K)^2 + (dsnu / K)^2      the fixed pattern

until it saturates; rounding adds 1 / 12 where the noise spans half a count or more. Two frames of an evenly lit sensor
tell the variances apart: their difference has no fixed pattern. The slope of the temporal variance over the mean is
1 / K, which needs no knowledge of the light.

    python examples/photon_transfer.py [SENSOR]     default imx477; writes photon_transfer.png
"""

import sys
from dataclasses import dataclass, replace

import numpy as np
import torch
from matplotlib.figure import Figure

from lensless.physics.random import sample_generator
from lensless.physics.sensor import Sensor, get_sensor

# Light on the sensor, 1 saturates it in one second: five decades and a little beyond saturation.
LIGHT = np.geomspace(1e-5, 1.3, 40)


@dataclass(frozen=True)
class Curve:
    """Means less the black level, and variances, in counts: one entry for each level of light."""

    mean: np.ndarray
    temporal: np.ndarray
    spatial: np.ndarray


def measure(sensor: Sensor, *, seed: int) -> Curve:
    """Two frames of one colour at each level of light, one second each."""
    colour = int(np.argmax(sensor.response))
    rows = []
    for index, light in enumerate(LIGHT):
        even = torch.full((1, len(sensor.response), *sensor.shape), float(light))
        first, second = (
            sensor.expose(even, sample_generator(seed, 2 * index + k))[0, colour].double() for k in range(2)
        )
        rows.append((float(first.mean()) - sensor.black_level, float((first - second).var()) / 2, float(first.var())))
    return Curve(*np.array(rows).T)


def gain(curve: Curve) -> float:
    """K in electrons a count: mean over temporal variance where photons make most of the noise, below saturation."""
    usable = slice(None, int(np.argmax(curve.temporal)) - 1)
    mean, variance = curve.mean[usable], curve.temporal[usable]
    bright = mean > mean[-1] / 10
    return 1 / float(np.polyfit(mean[bright], variance[bright], 1)[0])


def expected(sensor: Sensor, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The temporal and the spatial variance of the equations above."""
    electrons = mean * sensor.gain
    temporal = (electrons + sensor.dark_current + sensor.read_noise**2) / sensor.gain**2 + 1 / 12
    return temporal, temporal + ((sensor.prnu * electrons) ** 2 + sensor.dsnu**2) / sensor.gain**2


def figure(sensor: Sensor, curve: Curve, name: str) -> Figure:
    page = Figure(figsize=(6.5, 5), layout="constrained")
    axis = page.subplots()
    mean = np.geomspace(1e-2, curve.mean.max(), 200)
    for variances, theory, label in zip(
        (curve.temporal, curve.spatial), expected(sensor, mean), ("temporal", "spatial"), strict=True
    ):
        (dots,) = axis.loglog(curve.mean, variances**0.5, "o", markersize=4, label=f"{label}, measured")
        axis.loglog(mean, theory**0.5, color=dots.get_color(), label=f"{label}, formula")
    axis.set_xlabel("mean less black level / counts")
    axis.set_ylabel("standard deviation / counts")
    axis.set_title(f"{name}: {gain(curve):.3f} electrons a count measured, {sensor.gain:.3f} stated")
    axis.set_xlim(left=1e-2)
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    return page


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "imx477"
    sensor = replace(get_sensor(name).without_cfa(), shape=(400, 500))
    curve = measure(sensor, seed=0)
    print(f"{name}: {gain(curve):.4f} electrons a count, {sensor.gain:.4f} stated")
    figure(sensor, curve, name).savefig("photon_transfer.png", dpi=90)


if __name__ == "__main__":
    main()
