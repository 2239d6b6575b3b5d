import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution, least_grid

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "lenslesspicam"

sizes = st.integers(1, 11)
shapes = st.tuples(sizes, sizes)


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def seen_by_the_sensor(psf: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The part of the full convolution at which the centre pixels of psf, scene and sensor coincide."""
    (h, w), (height, width) = psf.shape, x.shape
    return convolve2d(psf, x)[height // 2 : height // 2 + h, width // 2 : width // 2 + w]


def delta(shape: tuple[int, ...]) -> torch.Tensor:
    x = torch.zeros(1, *shape, dtype=torch.float64)
    x[..., shape[-2] // 2, shape[-1] // 2] = 1
    return x


def test_convolution_by_hand():
    # y(i) = sum_j psf(i - j) x(j): 5, 2 * 5 + 7, 2 * 7 + 11; a correlation would give 19, 29, 11
    camera = LenslessConvolution(torch.tensor([[[0.0, 1.0, 2.0]]]))
    y = camera(torch.tensor([[[[5.0, 7.0, 11.0]]]]))
    torch.testing.assert_close(y, torch.tensor([[[[5.0, 17.0, 25.0]]]]))


@given(shapes, shapes, st.sampled_from([1, 2, 3]))
def test_is_scipys_convolution_at_any_size(sensor, scene, channels: int):
    psf, x = uniform(channels, *sensor), uniform(1, channels, *scene) - 0.4
    y = LenslessConvolution(psf, scene_shape=scene)(x)
    for channel in range(channels):
        expected = seen_by_the_sensor(psf[channel].numpy(), x[0, channel].numpy())
        np.testing.assert_allclose(y[0, channel], expected, rtol=0, atol=1e-12)


@given(shapes, shapes)
def test_the_smallest_grid_allowed_has_no_wrap_around(sensor, scene):
    rows, columns = (max(2, least_grid(s, n)) for s, n in zip(sensor, scene, strict=True))
    psf, x = uniform(1, *sensor), uniform(1, 1, *scene)
    camera = LenslessConvolution(psf, scene_shape=scene, fft_shape=(rows, columns + columns % 2))
    expected = seen_by_the_sensor(psf[0].numpy(), x[0, 0].numpy())
    np.testing.assert_allclose(camera(x)[0, 0], expected, rtol=0, atol=1e-12)


@given(shapes, shapes)
def test_a_point_at_the_centre_gives_the_psf(sensor, scene):
    psf = uniform(3, *sensor)
    y = LenslessConvolution(psf, scene_shape=scene)(delta((3, *scene)))
    assert float((y[0] - psf).abs().max()) < 1e-12


def test_a_point_elsewhere_gives_the_psf_moved_there():
    psf, x = uniform(1, 7, 9), torch.zeros(1, 1, 7, 9, dtype=torch.float64)
    x[0, 0, 3 + 2, 4 - 3] = 1
    y = LenslessConvolution(psf)(x)
    torch.testing.assert_close(y[0, 0, 2:, :-3], psf[0, :-2, 3:], rtol=0, atol=1e-12)
    torch.testing.assert_close(y[0, 0, :2], torch.zeros(2, 9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_whole_field_holds_every_scene_pixel_that_reaches_the_sensor():
    # a PSF of 7 rows brings light from 6 rows above or below the centre onto the sensor, from 7 rows none
    whole = LenslessConvolution(uniform(1, 7, 7)).whole_field()
    reach = whole.adjoint(torch.ones(1, 1, 7, 7, dtype=torch.float64))[0, 0].sum(1)
    lit = (reach > 1e-12).nonzero().flatten() - whole.scene_shape[1] // 2
    assert (int(lit.min()), int(lit.max())) == (-6, 6)


def test_whole_field_shares_the_spectrum():
    camera = LenslessConvolution(uniform(1, 5, 7))
    assert camera.whole_field().spectrum is camera.spectrum


@pytest.mark.parametrize("folder", ["conv_even", "conv_odd_image", "conv_odd_fft_bug"])
def test_agrees_with_lenslesspicam(folder: str):
    if not (REFERENCE / folder).is_dir():
        pytest.skip(f"no reference numbers in {REFERENCE}")
    case = json.loads((REFERENCE / folder / "case.json").read_text())
    with np.load(REFERENCE / folder / "arrays.npz", allow_pickle=False) as arrays:
        images = {name: torch.from_numpy(a).squeeze(-4).movedim(-1, -3) for name, a in arrays.items()}
    psf, (row, column) = images["psf"], case["effective_psf_centre"]
    camera = LenslessConvolution(
        torch.roll(psf, (psf.shape[-2] // 2 - row, psf.shape[-1] // 2 - column), (-2, -1))
    )
    adjoint = "adjoint_exact" if "adjoint_exact" in images else "adjoint_backward"
    for ours, theirs in (
        (camera(images["x"]), images["forward_backward"]),
        (camera.adjoint(images["y"]), images[adjoint]),
        (camera(images["x"]) * case["hidden_gain"]["ortho"], images["forward_ortho"]),
    ):
        assert float((ours - theirs).abs().max() / theirs.abs().max()) < case["tolerance"]["value"]


@pytest.mark.parametrize(
    ("psf", "words"),
    [
        (np.ones((1, 5, 6)), "expected a torch tensor .* got ndarray"),
        (torch.ones(1, 5, 6, dtype=torch.uint8), "got torch.uint8; divide counts by full scale"),
        (torch.ones(1, 5, 6, dtype=torch.float16), "expected float32 or float64, got torch.float16"),
        (torch.ones(5, 6), r"expected \(C, h, w\) or \(B, C, h, w\), got \(5, 6\)"),
        (torch.ones(1, 1, 1, 5, 6), r"expected \(C, h, w\) or \(B, C, h, w\), got \(1, 1, 1, 5, 6\)"),
        (torch.ones(48, 64, 3), r"48, 64, 3\); channels last\? use psf.movedim\(-1, -3\)"),
        (torch.full((1, 5, 6), torch.nan), "expected finite values, got 30 NaN or infinite"),
        (torch.tensor([[[1.0, torch.inf]]]), "expected finite values, got 1 NaN or infinite"),
        (torch.zeros(3, 5, 6), "got a PSF of zeros"),
        (torch.stack([torch.ones(3, 5, 6), torch.zeros(3, 5, 6)]), "got a PSF of zeros"),
    ],
    ids=["numpy", "counts", "half", "no_channels", "depths", "channels_last", "nan", "inf", "zeros", "zeros_in_batch"],
)
def test_refuses_a_bad_psf(psf, words: str):
    with pytest.raises(InputError, match="psf: .*" + words):
        LenslessConvolution(psf)


def test_refuses_a_grid_on_which_the_convolution_would_wrap_around():
    with pytest.raises(InputError, match=r"axis 1 has 16 samples, .* expected at least 17 \(18 is fast\)"):
        LenslessConvolution(uniform(1, 5, 11), scene_shape=(5, 13), fft_shape=(12, 16))
    with pytest.raises(InputError, match=r"scene_shape: expected positive sizes, got \(0, 4\)"):
        LenslessConvolution(uniform(1, 5, 6), scene_shape=(0, 4))


def test_whole_field_refuses_a_grid_that_wraps_around():
    tight = LenslessConvolution(torch.rand(1, 10, 7), fft_shape=(15, 12))
    with pytest.raises(InputError, match="axis 0 has 15 samples, too few for a sensor of 10 and a scene of 15"):
        tight.whole_field()
