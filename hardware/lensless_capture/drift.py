"""What has changed between records that should be alike: the light around, and the PSF."""

from typing import Any

import numpy as np

from lensless_capture.cameras.base import Frame
from lensless_capture.exposure import level
from lensless_capture.plan import Shot
from lensless_capture.records import RecordFolder

# A PSF that has moved by this many pixels, correlates less than this with the first one, or ambient light that differs
# by this share of full scale, is worth a word.
MOVED, UNLIKE, LIGHT = 0.5, 0.97, 0.02


class Drift:
    """Each background against the first one of its mask, each point of light against the first one.

    records: where the first ones are found. shots: the plan.
    """

    def __init__(self, records: RecordFolder, shots: list[Shot]):
        self.records, self.firsts = records, {}
        for number, shot in enumerate(shots):
            if shot.kind in ("background", "psf"):
                self.firsts.setdefault(shot, number)
        self.known: dict[Shot, Any] = {}

    def of(self, number: int, shot: Shot, frame: Frame) -> dict[str, Any] | None:
        """What the record will say of ``frame``, the shot ``number``; None where there is nothing to compare.

        Of a background its level, a share of full scale at the exposure of the first, and the change since. Of a point
        of light the shift of its PSF (down, right) in pixels, and the correlation that is left once that is undone.
        """
        if shot not in self.firsts:
            return None
        if shot not in self.known:
            number_of_first = self.firsts[shot]
            first = frame if number == number_of_first else self.records.frame(number_of_first)
            self.known[shot] = cells(first) if shot.kind == "psf" else (_exposed(first), _rate(first) * _exposed(first))
        if shot.kind == "psf":
            shift, correlation = compare(self.known[shot], cells(frame))
            return {"shift": [round(pixels, 2) for pixels in shift], "correlation": round(correlation, 4)}
        exposed, before = self.known[shot]
        now = _rate(frame) * exposed
        return {"level": round(now, 5), "change": round(now - before, 5)}


def warning(drift: dict[str, Any]) -> str | None:
    """In words what of a ``drift`` is too much, None where nothing is."""
    if "change" in drift:
        far = abs(drift["change"]) > LIGHT
        return f"the light around has changed by {drift['change']:+.1%} of full scale" if far else None
    down, right = drift["shift"]
    if max(abs(down), abs(right)) > MOVED:
        return f"the PSF has moved by {down:+.1f}, {right:+.1f} pixels (down, right); measure it again"
    if drift["correlation"] < UNLIKE:
        return f"the PSF has changed, it correlates {drift['correlation']:.2f} with the first one; measure it again"
    return None


def cells(frame: Frame) -> np.ndarray:
    """The light of a frame, averaged over 2 x 2 pixels (its mosaic), as multiples of its mean."""
    height, width = (extent // 2 * 2 for extent in frame.pixels.shape)
    means = frame.pixels[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3), dtype=np.float32)
    light = means - frame.reported.black_level
    return light / light.mean()


def compare(first: np.ndarray, now: np.ndarray) -> tuple[tuple[float, float], float]:
    """Shift (down, right) from one to the other in pixels, twice that of the cells, and the correlation left.

    The shift is where the cross-correlation, its spectrum's magnitudes under the root (halfway to phase correlation),
    is highest, between cells by the parabola through three of them.
    """
    window = np.outer(*(np.hanning(extent + 2)[1:-1] for extent in first.shape)).astype(np.float32)
    spectra = [np.fft.rfft2(window * (image - 1)) for image in (first, now)]
    cross = spectra[1] * spectra[0].conj()
    cross /= np.sqrt(np.maximum(np.abs(cross), 1e-12 * np.abs(cross).max()))
    match = np.fft.irfft2(cross, s=first.shape)
    top = np.unravel_index(match.argmax(), match.shape)
    shift = [_wrapped(_peak(match, top, axis), extent) for axis, extent in enumerate(match.shape)]
    return tuple(float(2 * cell) for cell in shift), _correlation(first, now, [round(cell) for cell in shift])


def _exposed(frame: Frame) -> float:
    return frame.reported.exposure * frame.reported.gain


def _rate(frame: Frame) -> float:
    """Share of full scale that the median pixel reaches in a second at gain 1."""
    return level(frame, 50) / _exposed(frame)


def _peak(match: np.ndarray, top: tuple[int, ...], axis: int) -> float:
    """Place along ``axis`` of the parabola's peak through the highest cell and its two neighbours."""
    line = np.moveaxis(match, axis, -1)[top[1 - axis]]
    low, middle, high = (float(line[(top[axis] + step) % len(line)]) for step in (-1, 0, 1))
    return top[axis] + 0.5 * (low - high) / min(low - 2 * middle + high, -1e-12)


def _wrapped(cell: float, extent: int) -> float:
    return cell - extent if cell > extent / 2 else cell


def _correlation(first: np.ndarray, now: np.ndarray, shift: list[int]) -> float:
    """Of what both show once ``now`` is moved back by whole cells."""
    here, there = (
        tuple(
            slice(max(sign * step, 0), extent + min(sign * step, 0))
            for step, extent in zip(shift, first.shape, strict=True)
        )
        for sign in (-1, 1)
    )
    return float(np.corrcoef(first[here].ravel(), now[there].ravel())[0, 1])
