"""How close an image is to its ground truth: PSNR and SSIM, as it is and after the best affine fit."""

import math

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from lensless.errors import InputError

SSIM_WINDOW = 11


def psnr(estimate: Tensor, truth: Tensor, *, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(peak^2 / mean((estimate - truth)^2)); inf where they are equal."""
    check_pair(estimate, truth)
    error = (estimate.double() - truth.double()).square().mean().item()
    return 10 * math.log10(peak**2 / error) if error > 0 else math.inf


def ssim(estimate: Tensor, truth: Tensor, *, peak: float = 1.0) -> float:
    """Structural similarity, mean over pixels and channels (Wang et al. 2004: Gaussian window, sigma 1.5, 11 x 11).

    estimate, truth: (C, H, W), at least 11 x 11. Raises InputError on other shapes.
    """
    check_pair(estimate, truth)
    if min(truth.shape[-2:]) < SSIM_WINDOW:
        raise InputError(f"truth: expected at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, got {tuple(truth.shape)}")
    return float(
        structural_similarity(
            truth.double().numpy(),
            estimate.double().numpy(),
            channel_axis=0,
            data_range=peak,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def affine_fit(estimate: Tensor, truth: Tensor) -> tuple[float, float]:
    """The (a, b) that minimise ||a estimate + b - truth||^2 over all pixels and channels together.

    A lensless reconstruction has no absolute brightness; one gain and one offset for the whole image put it on the
    truth's scale without touching its colours. A constant estimate gives a = 0.
    """
    check_pair(estimate, truth)
    x, y = estimate.double(), truth.double()
    spread = (x - x.mean()).square().mean()
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    gain = (covariance / spread).item() if spread > 0 else 0.0
    return gain, (y.mean() - gain * x.mean()).item()


def scores(estimate: Tensor, truth: Tensor, *, border: int = 0, peak: float = 1.0) -> dict[str, float]:
    """PSNR and SSIM of an image (C, H, W), raw and after :func:`affine_fit`, without ``border`` pixels on each side.

    ``peak`` is the value of white in ``truth``. Raises InputError where the shapes differ or the border leaves
    less than SSIM needs.
    """
    check_pair(estimate, truth)
    height, width = truth.shape[-2:]
    if border < 0 or min(height, width) - 2 * border < SSIM_WINDOW:
        raise InputError(
            f"border: expected 0 to {(min(height, width) - SSIM_WINDOW) // 2} pixels for an image of "
            f"{height} x {width}, got {border}"
        )
    inside = (slice(None), slice(border, height - border), slice(border, width - border))
    estimate, truth = estimate[inside], truth[inside]
    gain, offset = affine_fit(estimate, truth)
    fitted = gain * estimate.double() + offset
    return {
        "psnr": psnr(estimate, truth, peak=peak),
        "ssim": ssim(estimate, truth, peak=peak),
        "psnr_affine": psnr(fitted, truth, peak=peak),
        "ssim_affine": ssim(fitted, truth, peak=peak),
        "affine_gain": gain,
        "affine_offset": offset,
    }


def check_pair(estimate: Tensor, truth: Tensor) -> None:
    """Raise InputError unless both are images (C, H, W) of one shape with finite values."""
    if truth.ndim != 3 or estimate.shape != truth.shape:
        raise InputError(
            f"truth: expected (C, H, W) like the estimate {tuple(estimate.shape)}, got {tuple(truth.shape)}"
        )
    for name, image in (("estimate", estimate), ("truth", truth)):
        bad = int((~torch.isfinite(image)).sum())
        if bad:
            raise InputError(f"{name}: expected finite values, got {bad} NaN or infinite")
