"""The optics of a simulated bench: what a monitor's light makes of a mask's PSF on the sensor."""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from lensless_capture.errors import require
from lensless_capture.mask import Mask
from lensless_capture.screens.base import LIGHT, Screen
from lensless_capture.screens.simulated import SimulatedScreen

DISTURBANCES = ("moved", "lamp")


class Bench:
    """What falls on the sensor at frame n, (3, h, w) in full scales a second at gain 1:

        light_c = white_c crop(psf_m,c * (screen_c + ambient))

    with psf_m of the mask that is shown, one factor making the mean of its three sums 1; nothing passes a closed mask.
    The screen's numbers are made linear (sRGB) and its pixels, even squares, averaged over those of the scene: the
    sensor's grid as a pinhole in the mask's place would draw it, upright. The scene reaches half a field beyond the
    sensor's on every side, and light from there falls on the sensor as far as the PSF carries it.

    psf: from a mask's label to its PSF, (1, h, w) or (3, h, w). screen: the monitor; without a simulated one an even
    white wall. mask: None for a fixed one, whose label is 0. field: (height, width), metres, that the sensor sees of
    the monitor's plane; default the monitor's own. white: full scales a second that an even white scene brings in red,
    green and blue. ambient: even light from everywhere, white being 1. lamp: what a lamp adds to it. move: (down,
    right, anticlockwise) in pixels and degrees, by which the PSF moves with the mask.
    disturbances: "moved" or "lamp" by the number of the frame from which on the mask has moved or the lamp is on.
    Raises InputError on another disturbance or light below 0.
    """

    def __init__(
        self,
        psf: Callable[[int], np.ndarray],
        *,
        screen: Screen | None = None,
        mask: Mask | None = None,
        field: tuple[float, float] | None = None,
        white: tuple[float, float, float] = (100.0, 100.0, 100.0),
        ambient: float = 0.0,
        lamp: float = 0.5,
        move: tuple[float, float, float] = (3.0, -2.0, 1.0),
        disturbances: Mapping[int, str] | None = None,
    ):
        self.disturbances = dict(disturbances or {})
        unknown = sorted(set(self.disturbances.values()) - set(DISTURBANCES))
        require(not unknown, f"disturbances: expected {', '.join(DISTURBANCES)}, got {', '.join(unknown)}")
        require(min(*white, ambient, lamp) >= 0, f"white, ambient, lamp: expected >= 0, got {white}, {ambient}, {lamp}")
        self.psf, self.mask, self.ambient, self.lamp, self.move = psf, mask, ambient, lamp, move
        self.screen = screen if isinstance(screen, SimulatedScreen) else None
        self.white = np.array(white, np.float32)[:, None, None]
        self.size = np.shape(psf(0))[-2:]
        if self.screen is not None:
            pitches = np.array(field or self.screen.extent) / self.size
            self.rows, self.columns = (
                overlap(2 * n, pitch, pixels, self.screen.pitch)
                for n, pitch, pixels in zip(self.size, pitches, self.screen.size, strict=True)
            )
        self.seen: tuple = ()
        self.light = self.spectrum = None

    def __call__(self, index: int) -> np.ndarray:
        label = 0 if self.mask is None else self.mask.shown
        if label is None:
            return np.zeros((3, *self.size), np.float32)
        moved, lit = (
            any(kind == what and index >= at for at, kind in self.disturbances.items()) for what in DISTURBANCES
        )
        shown = None if self.screen is None else self.screen.shown
        if self.seen[:2] != (label, moved):
            self.spectrum, self.light = self._spectrum(label, moved), None
        if self.light is None or self.seen[2] != lit or self.seen[3] is not shown:
            self.light = self.white * self._through(self._scene(shown) + self.ambient + self.lamp * lit)
        self.seen = (label, moved, lit, shown)
        return self.light

    def _scene(self, shown: np.ndarray | None) -> np.ndarray:
        """The screen's light (3, 2 h, 2 w) on the scene's grid."""
        if shown is None:
            return np.ones((3, 2 * self.size[0], 2 * self.size[1]), np.float32)
        light = self.screen.brightness * LIGHT[shown.transpose(2, 0, 1)]
        return self.rows @ light @ self.columns.T

    def _spectrum(self, label: int, moved: bool) -> np.ndarray:
        """Half spectrum of a PSF with its centre pixel (h // 2, w // 2) at the origin of a grid of twice its size."""
        psf = np.asarray(self.psf(label), np.float32)
        fits = psf.ndim == 3 and psf.shape[0] in (1, 3) and psf.shape[1:] == self.size
        require(fits, f"psf: expected (1 or 3, {self.size[0]}, {self.size[1]}) for mask {label}, got {psf.shape}")
        total = float(psf.sum((1, 2)).mean())
        require(total > 0, f"psf: expected light for mask {label}, got a sum of {total:.3g}")
        if moved:
            psf = np.stack([_moved(plane, *self.move) for plane in psf])
        height, width = self.size
        padded = np.pad(psf / total, ((0, 0), (0, height), (0, width)))
        return np.fft.rfft2(np.roll(padded, (-(height // 2), -(width // 2)), (1, 2)))

    def _through(self, scene: np.ndarray) -> np.ndarray:
        """crop(psf * scene); on a grid of twice the sensor no wrap-around reaches the sensor."""
        height, width = self.size
        light = np.fft.irfft2(np.fft.rfft2(scene) * self.spectrum, s=scene.shape[1:])
        top, left = height - height // 2, width - width // 2
        return light[:, top : top + height, left : left + width].clip(0).astype(np.float32)


def overlap(count: int, pitch: float, pixels: int, size: float) -> np.ndarray:
    """Shares (count, pixels) of ``count`` intervals of length ``pitch`` that lie in ``pixels`` ones of length ``size``.

    The middle intervals, count // 2 and pixels // 2, have a common centre.
    """
    start, stop = ((np.arange(count) - count // 2 + side) * pitch for side in (-0.5, 0.5))
    low, high = ((np.arange(pixels) - pixels // 2 + side) * size for side in (-0.5, 0.5))
    common = np.minimum(stop[:, None], high) - np.maximum(start[:, None], low)
    return (common.clip(0) / pitch).astype(np.float32)


def _moved(plane: np.ndarray, down: float, right: float, turn: float) -> np.ndarray:
    """(h, w) turned anticlockwise by ``turn`` degrees about its centre pixel, then moved by pixels; bilinear."""
    image = Image.fromarray(plane)
    middle = (plane.shape[1] // 2 + 0.5, plane.shape[0] // 2 + 0.5)
    return np.asarray(image.rotate(turn, Image.Resampling.BILINEAR, center=middle, translate=(right, down)))
