import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lensless.errors import InputError
from lensless.physics import fft
from lensless.physics.fft import (
    GridFFT,
    centred_slice,
    complex_fft2,
    complex_ifft2,
    crop_centred,
    fast_shape,
    fast_size,
    pad_centred,
)

BACKENDS = ["torch"] + (["ducc"] if fft.ducc0 is not None else [])
SMOOTH = sorted(2**a * 3**b * 5**c for a in range(1, 14) for b in range(9) for c in range(7))

sizes = st.integers(1, 13)
images = st.tuples(sizes, sizes)


@st.composite
def image_and_grid(draw) -> tuple[tuple[int, int], tuple[int, int]]:
    height, width = draw(images)
    grid = height + draw(st.integers(0, 5)), 2 * ((width + 1) // 2 + draw(st.integers(0, 3)))
    return (height, width), (max(2, grid[0]), grid[1])


def normal(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


def padded_by_hand(x: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Pixel (h // 2, w // 2) of the image onto (P // 2, Q // 2) of the grid, one pixel at a time."""
    (h, w), padded = x.shape[-2:], np.zeros((*x.shape[:-2], *grid))
    for i in range(h):
        for j in range(w):
            padded[..., grid[0] // 2 + i - h // 2, grid[1] // 2 + j - w // 2] = x[..., i, j]
    return padded


@pytest.mark.parametrize(
    ("n", "size"), [(1, 2), (3, 4), (7, 8), (11, 12), (13, 16), (540, 540), (1520, 1536), (2027, 2048)]
)
def test_fast_size_by_hand(n: int, size: int):
    assert fast_size(n) == size


@given(st.integers(1, 9000))
def test_fast_size_is_the_smallest_even_5_smooth_number(n: int):
    assert fast_size(n) == next(size for size in SMOOTH if size >= n)


def test_fast_shape_avoids_rows_that_alias_in_the_cache():
    # 2048 and 8192 are refused as widths, not as heights; 2160 = 2^4 3^3 5, 8640 = 2^6 3^3 5
    assert fast_shape((2027, 2027)) == (2048, 2160)
    assert fast_shape((8112, 8112)) == (8192, 8640)
    assert fast_shape((270, 480)) == (270, 480)


def test_fast_size_refuses_nothing_to_transform():
    with pytest.raises(InputError, match="n: expected a size of at least 1, got 0"):
        fast_size(0)


@given(image_and_grid())
def test_padding_keeps_the_centre_pixel_and_cropping_undoes_it(shapes):
    size, grid = shapes
    x = normal(2, *size)
    padded = pad_centred(x, grid)
    np.testing.assert_array_equal(padded, padded_by_hand(x.numpy(), grid))
    assert torch.equal(padded[..., grid[0] // 2, grid[1] // 2], x[..., size[0] // 2, size[1] // 2])
    assert torch.equal(crop_centred(padded, size), x)


def test_centred_slice_by_hand():
    # 5 in 8: centre sample 2 on 4; 4 in 7: 2 on 3
    assert centred_slice(8, 5) == slice(2, 7)
    assert centred_slice(7, 4) == slice(1, 5)


@pytest.mark.parametrize("backend", BACKENDS)
@given(shapes=image_and_grid())
@settings(max_examples=60)
def test_forward_and_inverse_are_numpys(backend: str, shapes):
    size, grid = shapes
    transform = GridFFT(grid, backend=backend)
    x, parts = normal(2, 3, *size), normal(2, 2, *transform.spectrum_shape)
    spectrum = torch.complex(parts[0], parts[1])
    before = spectrum.clone()
    np.testing.assert_allclose(
        transform.forward(x), np.fft.rfft2(padded_by_hand(x.numpy(), grid)), rtol=0, atol=1e-12
    )
    image = crop_centred(torch.from_numpy(np.fft.irfft2(spectrum.numpy(), s=grid)), size)
    np.testing.assert_allclose(transform.inverse(spectrum, size), image, rtol=0, atol=1e-12)
    assert torch.equal(spectrum, before)
    np.testing.assert_allclose(transform.inverse(transform.forward(x), size), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [(5, 7), (9, 16), (9, 1)])
def test_out_may_be_a_window_and_the_input_a_view(backend: str, size: tuple[int, int]):
    transform = GridFFT((9, 16), backend=backend)
    x = normal(size[1], size[0], 2).permute(2, 1, 0)
    assert not x.is_contiguous()
    spectrum = torch.empty(2, 9, 12, dtype=torch.complex128)[..., 2:11]
    image = torch.empty(2, size[0], size[1] + 3, dtype=torch.float64)[..., 1:-2]
    expected = transform.forward(x)
    assert transform.forward(x, out=spectrum) is spectrum
    torch.testing.assert_close(spectrum, expected, rtol=0, atol=1e-12)
    assert transform.inverse(spectrum, size, out=image) is image
    torch.testing.assert_close(image, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_transform_serves_images_of_many_sizes(backend: str):
    transform = GridFFT((12, 18), backend=backend)
    for size in ((7, 18), (7, 11), (7, 4), (12, 4), (3, 17)):
        x = normal(*size)
        expected = np.fft.rfft2(padded_by_hand(x.numpy(), (12, 18)))
        np.testing.assert_allclose(transform.forward(x), expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(transform.inverse(transform.forward(x), size), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_result_outlives_the_next_transform(backend: str):
    transform, x = GridFFT((12, 18), backend=backend), normal(7, 11)
    spectrum = transform.forward(x)
    image = transform.inverse(spectrum, (7, 11))
    transform.inverse(transform.forward(-x), (7, 11))
    np.testing.assert_allclose(spectrum, np.fft.rfft2(padded_by_hand(x.numpy(), (12, 18))), rtol=0, atol=1e-12)
    np.testing.assert_allclose(image, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_precision_stays_single(backend: str):
    transform = GridFFT((24, 30), backend=backend)
    x = normal(11, 13, dtype=torch.float32)
    spectrum = transform.forward(x)
    assert (spectrum.dtype, transform.inverse(spectrum, (11, 13)).dtype) == (torch.complex64, torch.float32)
    expected = np.fft.rfft2(padded_by_hand(x.numpy(), (24, 30)))
    np.testing.assert_allclose(spectrum, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("backend", BACKENDS)
def test_differentiable(backend: str):
    transform = GridFFT((5, 6), backend=backend)
    x = normal(3, 5).requires_grad_()
    spectrum = torch.complex(normal(5, 4), normal(5, 4) + 1).requires_grad_()
    assert torch.autograd.gradcheck(transform.forward, x)
    assert torch.autograd.gradcheck(lambda s: transform.inverse(s, (3, 5)), spectrum)


@given(image_and_grid())
def test_complex_transforms_are_numpys(shapes):
    size, grid = shapes
    x = torch.complex(normal(*size), normal(*size).flip(0))
    padded = padded_by_hand(x.real.numpy(), grid) + 1j * padded_by_hand(x.imag.numpy(), grid)
    np.testing.assert_allclose(complex_fft2(x, grid), np.fft.fft2(padded), rtol=0, atol=1e-12)
    np.testing.assert_allclose(complex_ifft2(complex_fft2(x, grid), size), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 7), (1, 8)])
def test_refuses_grids_without_a_half_spectrum(shape: tuple[int, int]):
    with pytest.raises(InputError, match=r"shape: expected at least 2 x 2 with an even width, got \("):
        GridFFT(shape)


def test_refuses_an_unknown_or_missing_backend(monkeypatch):
    with pytest.raises(InputError, match="backend: expected 'auto', 'ducc' or 'torch', got 'fftw'"):
        GridFFT((8, 8), backend="fftw")
    monkeypatch.setattr(fft, "ducc0", None)
    with pytest.raises(InputError, match=r"needs the package ducc0; pip install 'lensless-torch\[fast\]'"):
        GridFFT((8, 8), backend="ducc")
