"""Samples of cameras that are no camera in particular, to train for masks that will never have been seen."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lensless.data.augment import flip_sample
from lensless.data.epochs import Key, epoch_and_index, epoch_generator
from lensless.data.mask_bank import MaskBank
from lensless.data.mismatch import PSFError
from lensless.data.sample import Sample
from lensless.data.scenes import Patch, place_picture, read_picture
from lensless.data.simulation import one_thread
from lensless.errors import require
from lensless.images.prepare import normalise_psf
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.noise import add_noise_at_snr

# chance that a picture fills the field of view; least share of it that others fill; chance of shot noise
FULL_FIELD, LEAST_SHARE, SHOT = 0.7, 0.4, 0.75
# bits of the sensors, and where full scale is, relative to the brightest pixel
BITS, FULL_SCALE = (8, 10, 12, 14), (0.8, 3.0)
# most ambient light relative to the measurement's mean, and how well the frame that is subtracted knows it
AMBIENT, AMBIENT_ERROR = 0.5, 0.03
# chance that the PSF is wrong, and by how much at most: radians, share, pixels, pixels, decibels
WRONG, ROTATION, SCALE, SHIFT, BLUR, PSF_SNR = 0.5, math.radians(0.5), 0.01, 0.5, 0.8, (20.0, 60.0)


class RandomCameras(Dataset):
    """Photographs through the cameras of a :class:`MaskBank`; ``dataset[epoch, i]``, or ``dataset[i]`` in epoch 0.

        y = q(min(psf * x + b + n, full scale)) - b',      the sample's PSF is not psf but psf'

    Sample i comes from camera i mod M of M, whose number is its mask label. Drawn from (seed, epoch, i) are the
    picture, its place and mirroring, the ambient light b and what is subtracted for it, b' (3 % off), shot or Gaussian
    noise n at an SNR between ``snr_db`` = [least, most] decibels, the exposure, which decides what saturates, the bits
    of the quantisation q, and the calibration's error (:class:`PSFError`). Computed on one thread.

    pictures: files. length: samples an epoch. Raises InputError on no pictures and limits out of order.
    """

    brightness = "absolute"
    alignment = None

    def __init__(
        self,
        bank: MaskBank,
        *,
        pictures: Sequence[Path],
        length: int,
        encoding: str = "srgb",
        snr_db: tuple[float, float] = (10.0, 40.0),
        zoom: tuple[float, float] = (1.0, 2.0),
        seed: int = 0,
    ):
        require(length > 0, f"length: expected at least 1 sample an epoch, got {length}")
        require(len(pictures) > 0, "pictures: expected at least one")
        require(len(snr_db) == 2 and snr_db[0] <= snr_db[1], f"snr_db: expected [least, most], got {snr_db}")
        self.bank, self.pictures, self.length, self.encoding = bank, list(pictures), length, encoding
        self.snr_db, self.seed = tuple(snr_db), seed
        self.patch = Patch(zoom=zoom)

    def __len__(self) -> int:
        return self.length

    @property
    def shown(self) -> set[str]:
        """Names of the pictures."""
        return {picture.name for picture in self.pictures}

    @property
    def labels(self) -> np.ndarray:
        """Number of the camera of every sample, (N,)."""
        return np.arange(self.length) % len(self.bank)

    def __getitem__(self, key: int | Key) -> Sample:
        epoch, index = epoch_and_index(key)
        generator = epoch_generator(self.seed, epoch, index)
        camera = index % len(self.bank)
        psf = self.bank[camera]
        with one_thread():
            chances = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
            picture = self.pictures[int(chances[0] * len(self.pictures))]
            light = read_picture(picture, encoding=self.encoding)
            scene = self._place(light, tuple(psf.shape[-2:]), generator, whole=chances[1] < FULL_FIELD)
            measurement = self._measure(LenslessConvolution(psf)(scene[None])[0].clamp_min_(0), generator)
            wrong = _wrong(psf, generator) if chances[2] < WRONG else psf
        sample = Sample(
            index=index,
            mask=camera,
            measurement=measurement,
            scene=scene,
            psf=wrong,
            origin={"picture": picture.name, "kind": self.bank.kind(camera)},
        )
        sample = flip_sample(sample, vertical=chances[3] < 0.5, horizontal=chances[4] < 0.5)
        return replace(sample, psf=normalise_psf(sample.psf)[0])

    def _place(self, picture: Tensor, field: tuple[int, int], generator: torch.Generator, *, whole: bool) -> Tensor:
        """A patch of the picture on all of the field, or on a part of it with black around."""
        if whole:
            return self.patch.cut(picture, field, generator)[0]
        sizes, places = torch.rand(2, 2, generator=generator, dtype=torch.float64).tolist()
        shares = [LEAST_SHARE + (1 - LEAST_SHARE) * chance for chance in sizes]
        size = [round(side * share) for side, share in zip(field, shares, strict=True)]
        start = [round((side - part) * chance) for side, part, chance in zip(field, size, places, strict=True)]
        return place_picture(self.patch.cut(picture, size, generator)[0], field, size, start)

    def _measure(self, light: Tensor, generator: torch.Generator) -> Tensor:
        """What is left of the light (C, h, w) on the sensor once it is counted and its background subtracted."""
        chances = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
        ambient = AMBIENT * chances[0] * light.mean()
        snr = self.snr_db[0] + (self.snr_db[1] - self.snr_db[0]) * chances[1]
        kind = "shot" if chances[2] < SHOT else "gaussian"
        counted = add_noise_at_snr((light + ambient)[None], snr, generator, kind=kind)[0]
        least, most = FULL_SCALE
        full_scale = light.max() * least * (most / least) ** chances[3]
        levels = 2 ** BITS[int(chances[4] * len(BITS))] - 1
        counted = (counted / full_scale).clamp(0, 1).mul_(levels).round_().mul_(full_scale / levels)
        error = AMBIENT_ERROR * float(torch.empty(1).normal_(generator=generator))
        return counted - ambient * (1 + error)


def _wrong(psf: Tensor, generator: torch.Generator) -> Tensor:
    """The PSF as a calibration might have found it."""
    *around, blur, quality = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
    rotation, scale, down, right = (2 * chance - 1 for chance in around)
    error = PSFError(
        rotation=ROTATION * rotation,
        scale=1 + SCALE * scale,
        shift=(SHIFT * down, SHIFT * right),
        blur=BLUR * blur,
        snr_db=PSF_SNR[0] + (PSF_SNR[1] - PSF_SNR[0]) * quality,
    )
    return error(psf, generator)
