"""Numbers of LenslessPiCam 1.0.8, where it is right, from ``shared/reference/lenslesspicam`` beside the checkout.

Its Nesterov descent is left out: it projects the extrapolated point, ours the iterate. Its odd heights have the
PSF's centre at (N + 1) // 2, so those PSFs, which have empty borders, are shifted by one row.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lensless.physics.convolution import LenslessConvolution
from lensless.recon.admm import ADMM
from lensless.recon.base import data_scale
from lensless.recon.gradient import FISTA, GradientDescent
from lensless.recon.unrolled_admm import unrolled_admm

FOLDER = Path(__file__).parents[3] / "shared/reference/lenslesspicam"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no reference numbers at {FOLDER}")

ADMM_CASES = ["admm_5", "admm_20", "admm_rect_20", "admm_gray_10", "admm_diffusercam_10", "admm_tv_active_20"]
PRECISIONS = [(torch.float64, "x"), (torch.float32, "x_float32")]


def load(name: str, dtype: torch.dtype) -> tuple[dict, dict[str, torch.Tensor]]:
    """The case, and its arrays as (B, C, H, W), parameters as they are."""
    case = json.loads((FOLDER / name / "case.json").read_text())
    arrays = {}
    with np.load(FOLDER / name / "arrays.npz", allow_pickle=False) as file:
        for key, value in file.items():
            images = value.reshape(-1, *value.shape[-3:]).transpose(0, 3, 1, 2) if value.ndim > 1 else value
            arrays[key] = torch.from_numpy(np.ascontiguousarray(images)).to(dtype)
    psf = arrays["psf"]
    arrays["psf"] = torch.roll(psf, [-(n % 2) for n in psf.shape[-2:]], (-2, -1))
    return case, arrays


def deviation(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(("dtype", "reference"), PRECISIONS)
@pytest.mark.parametrize("name", ADMM_CASES)
def test_admm(name: str, dtype: torch.dtype, reference: str):
    """Their penalties are absolute; ours hold for |H| scaled to 1 and data scaled to a mean of 1."""
    case, arrays = load(name, dtype)
    camera, given = LenslessConvolution(arrays["psf"], fft_shape=case["padded_size"]), case["parameters"]
    gain, scale = float(camera.spectrum.abs().max()), float(data_scale(arrays["y"]))
    solver = ADMM(
        given["n_iter"],
        tau=given["tau"] / (scale * gain),
        mu1=given["mu1"],
        mu2=given["mu2"] / gain**2,
        mu3=given["mu3"] / gain**2,
    )
    assert deviation(solver(arrays["y"], camera), arrays[reference]) < case["tolerance"]["value"]


@pytest.mark.parametrize(("dtype", "reference"), PRECISIONS)
def test_unrolled_admm(dtype: torch.dtype, reference: str):
    """Other penalties in every iteration, in absolute units."""
    case, arrays = load("unrolled_admm_5", dtype)
    camera, y = LenslessConvolution(arrays["psf"], fft_shape=case["padded_size"]), arrays["y"]
    penalties = torch.stack([arrays[f"{name}_p"].abs() for name in ("mu1", "mu2", "mu3", "tau")], 1)
    (x,) = unrolled_admm(y, camera.spectrum, penalties, fft=camera.fft, size=tuple(y.shape[-2:]))
    found = x.clamp(min=0)
    assert deviation(found, arrays[reference]) < case["tolerance"]["value"]


class SensorSizedScene(LenslessConvolution):
    """A camera that explains nothing from outside its field of view, as theirs."""

    def whole_field(self) -> LenslessConvolution:
        return self


@pytest.mark.parametrize(("dtype", "reference"), PRECISIONS)
@pytest.mark.parametrize("name", ["gd_30", "fista_30", "fista_rect_100"])
def test_projected_gradients(name: str, dtype: torch.dtype, reference: str):
    """Their step is lip_fact / max |H|^2, a channel each; FISTA returns the extrapolated point."""
    case, arrays = load(name, dtype)
    iterations, gain = case["parameters"]["n_iter"], case["hidden_gain"]
    for channel in range(3):
        psf, y, expected = (arrays[key][:, channel : channel + 1] for key in ("psf", "y", reference))
        camera = SensorSizedScene(psf, fft_shape=case["padded_size"])
        length = case["parameters"]["lip_fact"] / camera.spectrum.abs().square().max()
        step_size = float(length * 1.01 * camera.norm_squared())
        extrapolates = case["class"] == "FISTA"
        solver = FISTA(step_size=step_size, restart=False) if extrapolates else GradientDescent(step_size=step_size)
        state = solver.start(y, camera, torch.full_like(y, float(psf.max() + psf.min()) / 2 / gain))
        for _ in range(iterations):
            solver.step(state)
        found = gain * (state.z.clamp(min=0) if extrapolates else state.x)
        assert deviation(found, expected) < case["tolerance"]["value"]
