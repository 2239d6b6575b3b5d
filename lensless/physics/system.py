"""Simulated cameras: a mask, a sensor, the distances between them and the scene, and the light around."""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import hydra
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from torch import Tensor

from lensless.errors import InputError, check_name, require
from lensless.physics.convolution import LenslessConvolution, least_grid
from lensless.physics.fft import fast_shape
from lensless.physics.masks import Mask
from lensless.physics.noise import add_noise_at_snr
from lensless.physics.psf import Optics, point_source_psf
from lensless.physics.random import Generators
from lensless.physics.sensor import Sensor, get_sensor
from lensless.resources import resource_dir

# Pixels (H, W) that the whole area of a sensor is read as.
SIZES = {"tiny": (36, 48), "small": (96, 128)}


@dataclass(frozen=True)
class System:
    """One simulated camera: from a scene to what its sensor makes of it.

        y = linearise(expose(psf * x + background))        or, at a stated SNR,  y = psf * x + background + n

    The scene x (B, C, h, w) lies on the sensor's grid, as a pinhole in the mask's place would draw it, with values
    in [0, 1], 1 being white. The PSF is divided by one factor so that its channels sum to 1 on average: an even
    white scene then brings the sensor to saturation in one second at ISO 100, however little a mask lets through.
    Shift-invariant: :func:`lensless.physics.psf.shift_invariance` says how well that holds.

    mask: what is in the light's way. sensor: without a colour filter array, each pixel sees every colour.
    mask_distance, scene_distance: from the mask to the sensor and to the scene, metres.
    wavelengths: one for each colour of the sensor, metres. field_pitch: coarsest sampling of the light's field,
    metres; steep masks need it fine, and are refused otherwise. ambient: even light from the whole field around,
    relative to white. exposure: seconds. iso: sensor gain, at least 100. snr_db: decibels of shot noise that take
    the sensor's place, None for the sensor. Raises InputError on values that no camera has and, from ``psf`` on,
    where the light does not fit the sampling or falls beside the sensor.
    """

    name: str
    _: KW_ONLY
    mask: Mask
    sensor: Sensor
    mask_distance: float
    scene_distance: float
    wavelengths: Sequence[float]
    field_pitch: float
    ambient: float = 0.0
    exposure: float = 1.0
    iso: float = 100.0
    snr_db: float | None = None

    def __post_init__(self):
        require(
            self.sensor.cfa is None,
            f"sensor: expected one that sees every colour in every pixel, got a {self.sensor.cfa} mosaic; use "
            "sensor.without_cfa()",
        )
        colours = len(self.sensor.response)
        require(
            len(self.wavelengths) == colours,
            f"wavelengths: expected {colours}, one for each colour of the sensor, got {self.wavelengths}",
        )
        for name in ("mask_distance", "scene_distance", "field_pitch"):
            require(getattr(self, name) > 0, f"{name}: expected metres > 0, got {getattr(self, name)}")
        require(self.ambient >= 0, f"ambient: expected light >= 0, got {self.ambient}")

    @functools.cached_property
    def psf(self) -> Tensor:
        """(C, h, w) float32 on the sensor's pixels, of a point at the scene's centre; mean of the C sums is 1."""
        optics = Optics(
            sensor_shape=self.sensor.shape,
            pixel_pitch=self.sensor.pitch,
            distance=self.mask_distance,
            wavelengths=self.wavelengths,
            oversample=math.ceil(max(self.sensor.pitch) / self.field_pitch),
        )
        with torch.no_grad():
            psf = point_source_psf(self.mask, optics, source_distance=self.scene_distance).float()
        return psf / psf.sum((-2, -1)).mean()

    @functools.cached_property
    def physics(self) -> LenslessConvolution:
        """The camera as the linear operator that reconstructions invert."""
        return LenslessConvolution(self.psf)

    @functools.cached_property
    def _camera(self) -> LenslessConvolution:
        """The same on the smallest grid that is exact for scenes in the field of view: three fifths of the work."""
        return LenslessConvolution(self.psf, fft_shape=fast_shape(tuple(least_grid(n, n) for n in self.sensor.shape)))

    @functools.cached_property
    def background(self) -> Tensor:
        """Ambient light on the sensor, (C, h, w): what a dark frame without the scene would show on average."""
        field = self.physics.whole_field()
        return field(torch.full((1, *field.scene_shape), self.ambient))[0]

    @property
    def pixel_on_scene(self) -> tuple[float, float]:
        """(dy, dx) that one pixel covers in the scene, metres: pitch * scene_distance / mask_distance."""
        return tuple(pitch * self.scene_distance / self.mask_distance for pitch in self.sensor.pitch)

    def with_psf(self, psf: Tensor) -> "System":
        """The same camera with a PSF that was computed before, or measured.

        psf: (C, h, w); the mean of its C sums should be 1. Raises InputError on another shape.
        """
        expected = (len(self.sensor.response), *self.sensor.shape)
        require(tuple(psf.shape) == expected, f"psf: expected {expected}, got {tuple(psf.shape)}")
        system = replace(self)
        vars(system)["psf"] = psf  # where the cached property above looks first
        return system

    @torch.no_grad()
    def light(self, scene: Tensor) -> Tensor:
        """What falls on the sensor, (B, C, h, w): psf * x + background of a scene (B, C, h, w).

        Raises InputError on another shape or negative scenes.
        """
        lowest = float(scene.min())
        require(lowest >= 0, f"scene: expected light >= 0, got a minimum of {lowest:.3g}")
        light = self._camera(scene).clamp_min_(0)
        return light.add_(self.background) if self.ambient else light

    @torch.no_grad()
    def measure(self, scene: Tensor, generator: Generators) -> Tensor:
        """Measurement (B, C, h, w), float32 in linear light, of a scene (B, C, h, w); the equation above.

        generator: one for the batch or one a sample. Raises InputError on another shape or negative scenes.
        """
        light = self.light(scene)
        if self.snr_db is not None:
            return add_noise_at_snr(light, self.snr_db, generator)
        counts = self.sensor.expose(light, generator, exposure=self.exposure, iso=self.iso)
        return self.sensor.linearise(counts, exposure=self.exposure, iso=self.iso)


def sized_sensor(name: str, *, size: str) -> Sensor:
    """The sensor ``name`` of the table with its Bayer cells as RGB pixels, its whole area read at ``size``.

    size: "tiny" (36 x 48, for tests), "small" (96 x 128, trains on a CPU) or "full". Raises InputError on others.
    """
    _check_size(size)
    sensor = get_sensor(name).without_cfa()
    return sensor if size == "full" else sensor.resized(SIZES[size])


def system_names() -> list[str]:
    """The ready cameras, `configs/system/NAME.yaml`."""
    return sorted(path.stem for path in (resource_dir("configs") / "system").glob("*.yaml"))


def get_system(
    name: str, *, size: str = "small", mask_seed: int = 0, settings: Mapping[str, Any] | None = None
) -> System:
    """The ready camera ``name``, read at ``size`` (:func:`sized_sensor`), with the mask drawn from ``mask_seed``.

    settings: other values for keys of its file, such as {"mask_distance": 3e-3, "mask.slope": 0.05}.
    Raises InputError with the nearest names for an unknown camera, and for a key that its file does not have.
    """
    _check_size(size)
    check_name("system", name, system_names())
    with hydra.initialize_config_dir(str(resource_dir("configs")), version_base="1.3"):
        cfg = hydra.compose(f"system/{name}", [f"+size={size}", f"+mask_seed={mask_seed}"])
    for key, value in (settings or {}).items():
        there = OmegaConf.select(cfg.system, key, default=None) is not None
        require(there, f"settings: {name} has no key {key!r}; see configs/system/{name}.yaml")
        OmegaConf.update(cfg.system, key, value)
    try:
        return hydra.utils.instantiate(cfg.system, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise InputError(f"system {name}: {error.__cause__}") from error
        raise


def _check_size(size: str) -> None:
    known = (*SIZES, "full")
    require(size in known, f"size: expected one of {', '.join(known)}, got {size!r}")
