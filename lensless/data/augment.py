"""Augmentation that keeps the physics: what changes in a measurement changes in its scene and its PSF too."""

from dataclasses import dataclass, replace

import torch

from lensless.data.epochs import epoch_generator
from lensless.data.psf_file import flip_psf
from lensless.data.sample import Sample
from lensless.errors import InputError, require
from lensless.images.prepare import flip
from lensless.physics.noise import add_noise_at_snr

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random changes of a sample under which y = psf * x + background stays true.

    Sample i of epoch e is changed by numbers drawn from (seed, e, i): mirrored, then lit by ambient light, then
    exposed, then disturbed by noise.

    flip_vertical, flip_horizontal: chances to mirror scene, measurement, background and PSF together.
    background: [least, most] mean of the ambient light relative to the mean of the measurement; it is added to the
    measurement and to the sample's background.
    exposure: [least, most] factor on measurement, background and scene; the measurement saturates at 1.
    snr_db: [least, most] decibels of shot noise, :func:`lensless.physics.noise.add_noise_at_snr`.
    None leaves a change out. Raises InputError on chances outside [0, 1] and ranges that are not in order.
    """

    seed: int = 0
    flip_vertical: float = 0.0
    flip_horizontal: float = 0.0
    background: Range | None = None
    exposure: Range | None = None
    snr_db: Range | None = None

    def __post_init__(self):
        for name in ("flip_vertical", "flip_horizontal"):
            chance = getattr(self, name)
            require(0 <= chance <= 1, f"{name}: expected a chance from 0 to 1, got {chance}")
        for name, least in (("background", 0.0), ("exposure", 1e-6), ("snr_db", -100.0)):
            limits = getattr(self, name)
            ordered = limits is None or (len(limits) == 2 and least <= limits[0] <= limits[1])
            require(ordered, f"{name}: expected [least, most], each at least {least:g}, got {limits}")

    def __call__(self, sample: Sample, *, epoch: int) -> Sample:
        """The sample as it comes in ``epoch``. Raises InputError where ambient light is asked for without a PSF."""
        generator = epoch_generator(self.seed, epoch, sample.index)
        draws = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
        sample = flip_sample(sample, vertical=draws[0] < self.flip_vertical, horizontal=draws[1] < self.flip_horizontal)
        if self.background is not None:
            sample = add_ambient_light(sample, _between(self.background, draws[2]))
        if self.exposure is not None:
            least, most = self.exposure
            sample = expose(sample, least * (most / least) ** draws[3])
        if self.snr_db is not None:
            light = sample.measurement.clamp_min(0)
            noise = add_noise_at_snr(light[None], _between(self.snr_db, draws[4]), generator)[0] - light
            sample = replace(sample, measurement=sample.measurement + noise)
        return sample


def flip_sample(sample: Sample, *, vertical: bool, horizontal: bool) -> Sample:
    """Mirror a sample's images so that y = psf * x still holds, to the pixel.

    Scene, measurement and background are mirrored as they are, the PSF about its centre pixel: along an even side
    its first row or column then has no partner and is left out.
    """
    if not vertical and not horizontal:
        return sample
    axes = {(True, True): "both", (True, False): "vertical", (False, True): "horizontal"}[vertical, horizontal]
    alignment = sample.alignment
    if alignment is not None:
        alignment = alignment.flipped(axes, tuple(sample.measurement.shape[-2:]))
    return replace(
        sample,
        measurement=flip(sample.measurement, axes),
        scene=None if sample.scene is None else flip(sample.scene, axes),
        background=None if sample.background is None else flip(sample.background, axes),
        psf=None if sample.psf is None else flip_psf(sample.psf, axes),
        alignment=alignment,
    )


def add_ambient_light(sample: Sample, level: float) -> Sample:
    """Add the light of an even surrounding, b(c) = s sum_k psf(c, k), with a mean of ``level`` times the measurement's.

    From a field that is larger than the PSF every pixel gets the same light, of the colour that the PSF has on average.
    """
    if sample.psf is None:
        raise InputError(f"background: ambient light needs the PSF, sample {sample.index} has none")
    colour = sample.psf.sum((-2, -1), keepdim=True)
    light = (level * sample.measurement.mean() / colour.mean() * colour).expand_as(sample.measurement)
    background = light if sample.background is None else sample.background + light
    return replace(sample, measurement=sample.measurement + light, background=background)


def expose(sample: Sample, factor: float) -> Sample:
    """Multiply measurement, background and scene; the measurement cannot exceed full scale."""
    return replace(
        sample,
        measurement=(sample.measurement * factor).clamp_max(1),
        scene=None if sample.scene is None else sample.scene * factor,
        background=None if sample.background is None else sample.background * factor,
    )


def _between(limits: Range, draw: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * draw
