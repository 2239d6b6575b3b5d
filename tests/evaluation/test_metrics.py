import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from lensless.errors import InputError
from lensless.evaluation.metrics import affine_fit, psnr, scores, ssim


@pytest.fixture
def truth():
    return torch.rand(3, 23, 34, generator=torch.Generator().manual_seed(1))


def test_psnr_of_a_constant_error(truth):
    assert psnr(truth + 0.1, truth) == pytest.approx(20, abs=1e-5)
    assert psnr(truth + 0.1, truth, peak=10.0) == pytest.approx(40, abs=1e-5)
    assert psnr(truth, truth) == math.inf


def test_ssim_equals_its_formula(truth):
    noisy = truth + 0.2 * torch.rand(truth.shape, generator=torch.Generator().manual_seed(2))
    x, y = noisy.double().numpy(), truth.double().numpy()

    def mean(image):
        return np.stack([gaussian_filter(channel, 1.5, truncate=3.5, mode="reflect") for channel in image])

    mx, my = mean(x), mean(y)
    vx, vy, cxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    index = (2 * mx * my + c1) * (2 * cxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(noisy, truth) == pytest.approx(index[:, 5:-5, 5:-5].mean(), abs=1e-10)
    assert ssim(truth, truth) == pytest.approx(1)


def test_affine_fit_solves_the_least_squares_problem(truth):
    estimate = torch.rand(truth.shape, generator=torch.Generator().manual_seed(3)) + 0.5 * truth
    x = estimate.double().flatten().numpy()
    expected = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), truth.double().flatten().numpy(), rcond=None)[0]
    assert affine_fit(estimate, truth) == pytest.approx(tuple(expected), abs=1e-10)


def test_affine_scores_do_not_see_gain_and_offset(truth):
    estimate = truth + 0.1 * torch.rand(truth.shape, generator=torch.Generator().manual_seed(3))
    first, second = scores(estimate, truth), scores(7 * estimate + 3, truth)
    assert second["psnr_affine"] == pytest.approx(first["psnr_affine"], abs=1e-4)
    assert second["ssim_affine"] == pytest.approx(first["ssim_affine"], abs=1e-4)
    assert second["psnr"] < 0 < first["psnr"] < first["psnr_affine"]


def test_a_constant_estimate_is_fitted_by_the_mean(truth):
    gain, offset = affine_fit(torch.full_like(truth, 2.0), truth)
    assert gain == 0
    assert offset == pytest.approx(truth.double().mean().item())


def test_the_border_is_left_out(truth):
    estimate = truth.clone()
    estimate[:, :3] = 9
    estimate[:, :, -3:] = 9
    assert scores(estimate, truth, border=3)["psnr"] == math.inf
    assert scores(estimate, truth, border=2)["psnr"] < 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, 1:], r"like the estimate \(3, 22, 34\), got \(3, 23, 34\)"),
        (lambda x: x[None], r"expected \(C, H, W\)"),
        (lambda x: x * math.nan, "expected finite values"),
    ],
)
def test_bad_pairs_are_refused(truth, change, message):
    with pytest.raises(InputError, match=message):
        scores(change(truth), truth)


def test_a_border_that_leaves_nothing_is_refused(truth):
    with pytest.raises(InputError, match="border: expected 0 to 6 pixels"):
        scores(truth, truth, border=7)
