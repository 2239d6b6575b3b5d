"""The PSF of a known mask as a function of where it is: what a fit of its geometry varies."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from lensless.errors import require
from lensless.physics.lcd import LCDMask
from lensless.physics.masks import Mask
from lensless.physics.psf import Optics, point_source_psf

# Waves that are kept: a fit asks for the same distances again while it turns and moves the mask.
KEPT = 4
# Light beyond the mask's shadow that is followed, in Fresnel zones sqrt(lambda z).
MARGIN = 4.0
# Samples in sqrt(lambda z), the width that diffraction blurs by, with which a distance is found to a per cent: with two
# of them it was 9 % off.
FINE = 4


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Where a mask is, and how large it is.

    distance: mask to sensor, and source_distance: source to mask, metres, the source on the axis through pixel
    (h // 2, w // 2). rotation: of the mask, radians, counter-clockwise as displayed. shift: (down, right) pixels on the
    sensor, of the mask's middle from where it would be on the axis. scale: the mask's true size over its stated one.
    opening: (height, width) of an LCD's cells, metres, None for the stated ones.
    """

    distance: float
    source_distance: float = math.inf
    rotation: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    opening: tuple[float, float] | None = None

    def __post_init__(self):
        require(0 < self.distance < math.inf, f"distance: expected metres > 0, got {self.distance}")
        require(self.source_distance > 0, f"source_distance: expected metres > 0, got {self.source_distance}")
        require(self.scale > 0, f"scale: expected a number > 0, got {self.scale}")

    @property
    def placement(self) -> "Placement":
        """What of it a PSF depends on."""
        magnification = (1 + self.distance / self.source_distance) * self.scale
        return Placement(
            fresnel_distance=self.distance / (magnification * self.scale),
            magnification=magnification,
            rotation=self.rotation,
            shift=self.shift,
            opening=self.opening,
        )


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How the PSF of a mask as stated, in collimated light, lies on the sensor.

    fresnel_distance: z = d / (m scale), metres, at which light behind it looks as at d behind the true one, but for its
    size. magnification: m = (1 + d / s) scale, of that size. rotation: radians. shift: (down, right), pixels. opening:
    (height, width), metres, None for the stated one. Distance, source distance and scale are three, and make only two.
    """

    fresnel_distance: float
    magnification: float
    rotation: float
    shift: tuple[float, float]
    opening: tuple[float, float] | None = None


class MaskModel:
    """psf(placement): the PSF (..., C, h, w) of a mask on a sensor, leading axes as the mask's, in arbitrary units.

        psf(x) = P_z(Q^T (x - shift) / m)

    with P_z the collimated PSF of the mask as stated and unturned, z behind it, and Q the turn by the rotation: exact
    for paraxial light (Fresnel scaling). P_z is computed on ``optics.oversample`` samples a pixel and interpolated
    cubically at as many points in each pixel. Only z and the opening need a new wave; the last few are kept.

    mask: any. optics: of the sensor; its distance has no meaning here. Raises InputError as point_source_psf does.
    """

    def __init__(self, mask: Mask, optics: Optics):
        self.mask, self.optics = mask, optics
        self.waves: dict[tuple, Tensor] = {}
        k, (h, w) = optics.oversample, optics.sensor_shape
        rows, columns = (
            (torch.arange(n * k) - n // 2 * k - (k - 1) / 2) * (p / k)
            for n, p in zip((h, w), optics.pixel_pitch, strict=True)
        )
        self.y, self.x = rows[:, None], columns[None]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, h, w) of a PSF."""
        return len(self.optics.response), *self.optics.sensor_shape

    @property
    def stated_opening(self) -> tuple[float, float]:
        """Of the LCD, metres. Raises InputError for another mask."""
        return tuple(torch.as_tensor(self._lcd.lcd.opening).tolist())

    @property
    def _lcd(self) -> LCDMask:
        require(isinstance(self.mask, LCDMask), f"opening: only an LCD has one, got a {type(self.mask).__name__}")
        return self.mask

    def oversample_for(self, distance: float) -> int:
        """Samples a pixel, along each side, that follow diffraction at this distance (metres) closely enough."""
        width = math.sqrt(min(self.optics.wavelengths) * distance)
        return math.ceil(FINE * max(self.optics.pixel_pitch) / width)

    def psf(self, placement: Placement) -> Tensor:
        """Without gradients: there are so few numbers that :mod:`lensless.calibration.mask_fit` takes differences."""
        wave, pitch = self.wave(placement.fresnel_distance, placement.opening)
        sin, cos = math.sin(placement.rotation), math.cos(placement.rotation)
        down, right = (s * p for s, p in zip(placement.shift, self.optics.pixel_pitch, strict=True))
        y, x = (self.y - down) / placement.magnification, (self.x - right) / placement.magnification
        # in samples of the wave, from its centre sample
        row, column = (cos * y + sin * x) / pitch[0], (cos * x - sin * y) / pitch[1]
        height, width = wave.shape[-2:]
        grid = torch.stack(
            [(column + width // 2) * (2 / (width - 1)) - 1, (row + height // 2) * (2 / (height - 1)) - 1], -1
        )
        planes = wave.reshape(1, -1, height, width)
        seen = F.grid_sample(planes, grid[None].to(planes), mode="bicubic", align_corners=True)
        pixels = F.avg_pool2d(seen, self.optics.oversample)
        return pixels.reshape(*wave.shape[:-2], *pixels.shape[-2:])

    def wave(self, distance: float, opening: tuple[float, float] | None) -> tuple[Tensor, tuple[float, float]]:
        """P_z on a grid that holds the mask's shadow, and the pitch of its samples."""
        pitch = self.optics.window.pitch
        key = (distance, opening)
        if key not in self.waves:
            mask = self.mask
            if opening is not None:
                mask = LCDMask(self._lcd.values, lcd=replace(self._lcd.lcd, opening=opening))
            margin = MARGIN * math.sqrt(max(self.optics.wavelengths) * distance)
            shape = [
                2 * math.ceil((extent / 2 + margin) / p) + 1
                for extent, p in zip(mask.grid(pitch).extent, pitch, strict=True)
            ]
            optics = replace(
                self.optics, sensor_shape=tuple(shape), pixel_pitch=pitch, oversample=1, distance=distance,
                least_captured=min(self.optics.least_captured, 0.01),
            )  # fmt: skip
            with torch.no_grad():
                light = point_source_psf(mask, optics).float()
            if len(self.waves) == KEPT:
                del self.waves[next(iter(self.waves))]
            self.waves[key] = light / light.mean()
        return self.waves[key], pitch
