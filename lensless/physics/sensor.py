"""Image sensors: from light to the integers that a camera delivers, and back as far as that is possible."""

import functools
import math
from dataclasses import KW_ONLY, dataclass, replace

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from lensless.errors import check_name, require
from lensless.physics.cfa import bayer_sites, mosaic
from lensless.physics.random import Generators, normal, poisson, sample_generator
from lensless.resources import resource_dir

# Index of a generator that no sample of a set has: its noise and the fixed pattern would be the same numbers.
FIXED_PATTERN = 2**62


@dataclass(frozen=True)
class Sensor:
    """A CMOS sensor after the linear camera model of EMVA standard 1288 (release 4.0, 2021).

    Light x(c, i, j) on the pixels gives electrons, electrons give counts:

        mu     = saturation * exposure * response(c) * x * (1 + prnu * g1) + dark_current * exposure
        e      = min(Poisson(mu), full_well) - dark_current * exposure + dsnu * g2 + read_noise * g3
        counts = clip(round(black_level + e * iso / (100 * gain)), 0, 2^bits - 1)

    with g1, g2, g3 standard normal, g1 and g2 fixed for a pixel (the fixed pattern), g3 new in every frame.
    The mean dark signal is taken off, as the optical-black clamp of these sensors does; its shot noise stays.
    Read noise is referred to the electrons and taken as independent of the ISO.

    Light is relative to the sensor: x = 1 brings the most sensitive colour to saturation in one second at
    ISO 100, where saturation = min(full_well, gain * (2^bits - 1 - black_level)) electrons.

    shape: (H, W) pixels; a window of the sensor is ``dataclasses.replace(sensor, shape=...)``.
    pitch: (dy, dx), metres. bits: of the converter, 1 to 16. full_well: electrons.
    gain: electrons per count at ISO 100. read_noise: electrons rms. black_level: counts.
    cfa: Bayer pattern such as "RGGB", or None where every pixel records every colour.
    response: sensitivity to white light, a number for each colour (one if monochrome); only ratios matter.
    dark_current: electrons per second and pixel. prnu: rms of the pixels' relative gains.
    dsnu: rms of their offsets, electrons. unit: which specimen; seeds the fixed pattern.
    Raises InputError on values that no sensor has.
    """

    shape: tuple[int, int]
    _: KW_ONLY
    pitch: tuple[float, float]
    bits: int
    full_well: float
    gain: float
    read_noise: float
    black_level: int
    cfa: str | None
    response: tuple[float, ...]
    dark_current: float = 0.0
    prnu: float = 0.0
    dsnu: float = 0.0
    unit: int = 0

    def __post_init__(self):
        for name in ("shape", "pitch", "response"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("shape", "pitch"):
            pair = getattr(self, name)
            require(len(pair) == 2 and min(pair) > 0, f"{name}: expected two positive numbers, got {pair}")
        for name in ("full_well", "gain"):
            require(getattr(self, name) > 0, f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("read_noise", "dark_current", "prnu", "dsnu"):
            require(getattr(self, name) >= 0, f"{name}: expected a number >= 0, got {getattr(self, name)}")
        require(1 <= self.bits <= 16, f"bits: expected 1 to 16, got {self.bits}")
        require(
            0 <= self.black_level < self.white_level,
            f"black_level: expected 0 to {self.white_level - 1} for {self.bits} bits, got {self.black_level}",
        )
        colours = len(self.response)
        require(
            colours > 0 and min(self.response) > 0,
            f"response: expected positive numbers, one a colour, got {self.response}",
        )
        if self.cfa is not None:
            bayer_sites(self.cfa)
            require(colours == 3, f"response: a {self.cfa} sensor has R, G and B, got {self.response}")

    @property
    def white_level(self) -> int:
        """Largest count, 2^bits - 1."""
        return 2**self.bits - 1

    @property
    def saturation(self) -> float:
        """Electrons at which a pixel clips at ISO 100: the full well or, if less, the converter's range."""
        return min(self.full_well, self.gain * (self.white_level - self.black_level))

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a frame of counts; C is 1 under a colour filter array, else the number of colours."""
        return (1 if self.cfa else len(self.response), *self.shape)

    @torch.no_grad()
    def expose(self, irradiance: Tensor, generator: Generators, *, exposure: float = 1.0, iso: float = 100.0) -> Tensor:
        """Counts (B, *frame_shape), int32, that the sensor delivers: the equations above.

        irradiance: (B, C, H, W) >= 0, floating point, C colours; 1 saturates in one second at ISO 100. Values
        down to -1e-5 of the maximum are taken as an FFT's rounding, hence as dark.
        generator: one for the batch or one a sample. exposure: seconds. iso: at least 100, a gain of 1.
        Raises InputError on another shape, NaN, negative light, or impossible settings.
        """
        _check_settings(exposure, iso)
        _check_frame(irradiance, "irradiance", (len(self.response), *self.shape))
        dtype = irradiance.dtype
        require(irradiance.is_floating_point(), f"irradiance: expected floating point, got {dtype}")
        lowest, highest = (float(value) for value in irradiance.aminmax())
        require(math.isfinite(lowest + highest), "irradiance: expected finite values, got NaN or infinite")
        require(lowest >= -1e-5 * highest, f"irradiance: expected light >= 0, got a minimum of {lowest:.3g}")
        light = irradiance if self.cfa is None else mosaic(irradiance, self.cfa)
        pixel_gain, pixel_offset = (pattern.to(light) for pattern in self.fixed_pattern)
        dark, counts_per_electron = self.dark_current * exposure, iso / (100 * self.gain)
        rate = self._response(light).mul_(self.saturation * exposure)
        mean = light.clamp_min(0).mul_(rate).mul_(pixel_gain).add_(dark)
        electrons = poisson(mean, generator).clamp_(max=self.full_well)
        electrons.add_(normal(electrons, generator), alpha=self.read_noise).add_(pixel_offset)
        counts = electrons.mul_(counts_per_electron).add_(self.black_level - dark * counts_per_electron)
        return counts.round_().clamp_(0, self.white_level).to(torch.int32)

    def linearise(self, counts: Tensor, *, exposure: float = 1.0, iso: float = 100.0) -> Tensor:
        """Light that on average gives these counts, float32: undoes black level, gain, exposure and response.

            x = (counts - black_level) * 100 * gain / (iso * saturation * exposure * response(c))

        In [0, 1] for the most sensitive colour at one second and ISO 100, except that noise around black
        stays negative where it was, so that the mean is right. Noise, clipping and the fixed pattern cannot be
        undone; a colour filter array stays (:mod:`lensless.calibration.raw` interpolates).
        counts: (B, *frame_shape), integer, or float for averaged frames. exposure, iso: as in :meth:`expose`.
        Raises InputError on another shape, counts above full scale, or impossible settings.
        """
        _check_settings(exposure, iso)
        _check_frame(counts, "counts", self.frame_shape)
        light = counts.to(torch.float32)
        highest = float(light.max())
        require(
            highest <= self.white_level,
            f"counts: expected at most {self.white_level} from {self.bits} bits, got {highest:.0f}; "
            "stored left-aligned in 16 bits? divide by 2^(16 - bits)",
        )
        scale = 100 * self.gain / (iso * self.saturation * exposure)
        return (light - self.black_level).mul_(scale).div_(self._response(light))

    @functools.cached_property
    def fixed_pattern(self) -> tuple[Tensor, Tensor]:
        """Relative gains 1 + prnu * g1 and offsets dsnu * g2 in electrons, each (1, *frame_shape)."""
        generator = sample_generator(self.unit, FIXED_PATTERN)
        gain, offset = torch.randn(2, 1, *self.frame_shape, generator=generator)
        return (1 + self.prnu * gain).clamp_min_(0), self.dsnu * offset

    def resized(self, shape: tuple[int, int]) -> "Sensor":
        """The same area of silicon read as ``shape`` pixels, each the mean of the pixels that it covers.

        a = (H W) / (h w) pixels make one: capacities, dark current and electrons per count grow a-fold, read
        noise and offsets by sqrt(a); relative gains spread less by sqrt(a). Under a colour filter array
        pixels of one colour are averaged, as in the sensors' own binned modes.
        Raises InputError if ``shape`` has more pixels along an axis.
        """
        require(
            len(shape) == 2 and all(0 < n <= full for n, full in zip(shape, self.shape, strict=True)),
            f"shape: expected two sizes of at most {self.shape}, got {tuple(shape)}",
        )
        factors = tuple(full / n for full, n in zip(self.shape, shape, strict=True))
        area = math.prod(factors)
        return replace(
            self,
            shape=shape,
            pitch=tuple(pitch * factor for pitch, factor in zip(self.pitch, factors, strict=True)),
            full_well=self.full_well * area,
            gain=self.gain * area,
            read_noise=self.read_noise * area**0.5,
            dark_current=self.dark_current * area,
            prnu=self.prnu / area**0.5,
            dsnu=self.dsnu * area**0.5,
        )

    def without_cfa(self) -> "Sensor":
        """Each Bayer cell read as one RGB pixel: half the shape, twice the pitch, one pixel's noise a colour.

        The second green pixel of a cell is not used. Raises InputError if there is no colour filter array.
        """
        require(self.cfa is not None, "without_cfa: this sensor has no colour filter array")
        shape = tuple(n // 2 for n in self.shape)
        return replace(self, shape=shape, pitch=tuple(2 * pitch for pitch in self.pitch), cfa=None)

    def _response(self, like: Tensor) -> Tensor:
        response = like.new_tensor(self.response).div_(max(self.response)).reshape(1, -1, 1, 1)
        return response if self.cfa is None else mosaic(response.expand(1, 3, *self.shape), self.cfa)


def _check_frame(frame: Tensor, name: str, shape: tuple[int, ...]) -> None:
    expected = f"a tensor (B, {', '.join(map(str, shape))})"
    require(isinstance(frame, Tensor), f"{name}: expected {expected}, got {type(frame).__name__}")
    require(tuple(frame.shape[1:]) == shape, f"{name}: expected {expected}, got {tuple(frame.shape)}")


def _check_settings(exposure: float, iso: float) -> None:
    require(exposure > 0, f"exposure: expected seconds > 0, got {exposure}")
    require(iso >= 100, f"iso: expected at least 100 (an analogue gain of 1), got {iso}")


def sensor_names() -> list[str]:
    """Names of the sensors in the table, `configs/sensor/NAME.yaml`, where each number has its source."""
    return sorted(path.stem for path in (resource_dir("configs") / "sensor").glob("*.yaml"))


def get_sensor(name: str) -> Sensor:
    """The sensor ``name`` of the table; raises InputError with the nearest names if it is not there."""
    name = name.lower()
    check_name("sensor", name, sensor_names())
    return instantiate(OmegaConf.load(resource_dir("configs") / "sensor" / f"{name}.yaml"), _convert_="all")
