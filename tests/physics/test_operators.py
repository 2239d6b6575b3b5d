"""Every camera against its definition, written out as a dense matrix; every property over all cameras."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import ducc0, pad_centred
from lensless.physics.multi_psf import MultiPSF, bilinear_weights
from lensless.physics.operator import LinearOperator
from lensless.physics.separable import SeparableMask
from lensless.physics.stack import DepthStack, SpectralStack
from lensless.physics.valid_pixels import ValidPixels


@dataclass
class Case:
    """A camera, and the same camera as matrices (batch, sensor pixels, scene pixels)."""

    operator: LinearOperator
    matrix: Tensor

    @property
    def samples(self) -> int:
        return max(2, self.operator.batch)

    def scenes(self) -> Tensor:
        return uniform(self.samples, *self.operator.scene_shape) - 0.3

    def measurements(self) -> Tensor:
        return uniform(self.samples, *self.operator.sensor_shape, seed=1) - 0.3


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def binary(*shape: int) -> Tensor:
    return uniform(*shape, seed=2) < 0.7


def relative_error(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def convolution_matrix(psf: Tensor, scene: tuple[int, int]) -> Tensor:
    """M[i, j] = psf(i - j), positions relative to the centre pixels (size // 2), psf zero beyond its border."""
    (h, w), (height, width) = psf.shape, scene
    rows, columns = (
        torch.arange(sensor)[:, None] - (torch.arange(size)[None] - size // 2)
        for sensor, size in ((h, height), (w, width))
    )
    rows, columns = rows[:, None, :, None], columns[None, :, None, :]
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    values = psf[rows.clamp(0, h - 1), columns.clamp(0, w - 1)] * inside
    return values.reshape(h * w, height * width)


def planes_matrix(psf: Tensor, scene: tuple[int, int]) -> Tensor:
    """(planes, C, h, w) -> (planes, C h w, C H W): every channel by itself."""
    return torch.stack([torch.block_diag(*(convolution_matrix(p, scene) for p in plane)) for plane in psf])


def convolution(backend: str, psf: Tensor, whole: bool = False, **sizes: tuple[int, int]) -> Case:
    operator = LenslessConvolution(psf, backend=backend, **sizes)
    operator = operator.whole_field() if whole else operator
    return Case(operator, planes_matrix(psf if psf.ndim == 4 else psf[None], operator.scene_shape[1:]))


def depths(backend: str, psf: Tensor, whole: bool = False, **sizes: tuple[int, int]) -> Case:
    operator = DepthStack(psf, backend=backend, **sizes)
    operator = operator.whole_field() if whole else operator
    cameras = psf if psf.ndim == 5 else psf[None]
    planes = [planes_matrix(camera, operator.scene_shape[2:]) for camera in cameras]
    return Case(operator, torch.stack([torch.cat(list(p), 1) for p in planes]))


def bands(backend: str, psf: Tensor, response: Tensor, whole: bool = False, **sizes: tuple[int, int]) -> Case:
    operator = SpectralStack(psf, response=response, backend=backend, **sizes)
    operator = operator.whole_field() if whole else operator
    matrices = []
    for camera in psf if psf.ndim == 4 else psf[None]:
        blocks = [convolution_matrix(p, operator.scene_shape[1:]) for p in camera]
        rows = [[gain * block for gain, block in zip(row, blocks, strict=True)] for row in response]
        matrices.append(torch.cat([torch.cat(row, 1) for row in rows]))
    return Case(operator, torch.stack(matrices))


def regions(
    backend: str, psf: Tensor, scene: tuple[int, int], rows: list, columns: list, whole: bool = False
) -> Case:
    operator = MultiPSF(psf, weights=bilinear_weights(scene, rows=rows, columns=columns), backend=backend)
    operator = operator.whole_field() if whole else operator
    size = operator.scene_shape[1:]
    down, right = (outer // 2 - inner // 2 for outer, inner in zip(size, scene, strict=True))
    weights = bilinear_weights(size, rows=[r + down for r in rows], columns=[c + right for c in columns])
    diagonal = weights.flatten(1).repeat(1, operator.scene_shape[0])
    cameras = psf if psf.ndim == 5 else psf[None]
    return Case(operator, torch.stack([(planes_matrix(c, size) * diagonal[:, None]).sum(0) for c in cameras]))


def separable(_backend: str, left: Tensor, right: Tensor) -> Case:
    operator = SeparableMask(left, right=right)
    lefts = left.expand(operator.batch, operator.scene_shape[0], *left.shape[-2:])
    rights = right.expand(operator.batch, operator.scene_shape[0], *right.shape[-2:])
    channels = [
        [torch.kron(lf, rt) for lf, rt in zip(*pair, strict=True)] for pair in zip(lefts, rights, strict=True)
    ]
    return Case(operator, torch.stack([torch.block_diag(*blocks) for blocks in channels]))


def valid(case: Case, mask: Tensor, whole: bool = False) -> Case:
    operator = ValidPixels(case.operator, mask=mask)
    operator = operator.whole_field() if whole else operator
    images = mask if mask.ndim == 4 else mask.expand(operator.sensor_shape)[None]
    rows = images.expand(-1, *operator.sensor_shape).flatten(1)
    return Case(operator, rows[:, :, None] * case.matrix)


RESPONSE = torch.tensor([[1.0, 0.25, 0.0, 0.5], [0.0, 1.0, 0.5, 0.0]], dtype=torch.float64)
CASES: dict[str, Callable[[str], Case]] = {
    "one_pixel": lambda b: convolution(b, uniform(1, 1, 1)),
    "primes": lambda b: convolution(b, uniform(1, 7, 11)),
    "even": lambda b: convolution(b, uniform(2, 6, 8)),
    "odd_by_even": lambda b: convolution(b, uniform(3, 5, 6)),
    "five_channels": lambda b: convolution(b, uniform(5, 3, 5)),
    "larger_scene": lambda b: convolution(b, uniform(3, 5, 8), scene_shape=(12, 9)),
    "smaller_scene": lambda b: convolution(b, uniform(3, 7, 6), scene_shape=(4, 3)),
    "odd_rows_of_grid": lambda b: convolution(b, uniform(2, 7, 8), fft_shape=(15, 18)),
    "two_cameras": lambda b: convolution(b, uniform(2, 3, 5, 7)),
    "whole_field_odd": lambda b: convolution(b, uniform(2, 5, 7), whole=True),
    "whole_field_even": lambda b: convolution(b, uniform(2, 2, 4, 6), whole=True),
    "whole_field_larger": lambda b: convolution(b, uniform(1, 3, 4), whole=True, scene_shape=(10, 9)),
    "depths": lambda b: depths(b, uniform(3, 2, 5, 7)),
    "depths_larger_scene": lambda b: depths(b, uniform(2, 3, 5, 6), scene_shape=(7, 9)),
    "depths_two_cameras": lambda b: depths(b, uniform(2, 2, 1, 6, 5)),
    "depths_whole_field": lambda b: depths(b, uniform(2, 2, 3, 5), whole=True),
    "bands": lambda b: bands(b, uniform(4, 5, 7), RESPONSE),
    "bands_smaller_scene": lambda b: bands(b, uniform(4, 6, 7), RESPONSE, scene_shape=(3, 5)),
    "bands_two_cameras": lambda b: bands(b, uniform(2, 4, 5, 6), RESPONSE),
    "bands_whole_field": lambda b: bands(b, uniform(4, 3, 5), RESPONSE, whole=True),
    "regions": lambda b: regions(b, uniform(6, 3, 5, 7), (5, 7), [1, 3.5], [0, 2, 5]),
    "regions_larger_scene": lambda b: regions(b, uniform(2, 1, 5, 6), (7, 9), [3], [2, 6]),
    "regions_two_cameras": lambda b: regions(b, uniform(2, 2, 2, 4, 5), (4, 5), [1, 2], [2]),
    "regions_whole_field": lambda b: regions(b, uniform(4, 2, 3, 5), (3, 5), [0.5, 2], [1, 4], whole=True),
    "separable": lambda b: separable(b, uniform(5, 7), uniform(8, 3)),
    "separable_channels": lambda b: separable(b, uniform(3, 7, 4), uniform(5, 6)),
    "separable_two_cameras": lambda b: separable(b, uniform(2, 1, 4, 5), uniform(3, 6, 5)),
    "valid": lambda b: valid(convolution(b, uniform(3, 5, 7)), binary(3, 5, 7)),
    "valid_plane": lambda b: valid(separable(b, uniform(5, 7), uniform(8, 3)), binary(5, 8)),
    "valid_each_sample": lambda b: valid(convolution(b, uniform(2, 5, 6)), binary(2, 1, 5, 6)),
    "valid_depths": lambda b: valid(depths(b, uniform(2, 2, 2, 5, 4)), binary(1, 5, 4)),
    "valid_whole_field": lambda b: valid(
        convolution(b, uniform(2, 3, 5), whole=True), binary(2, 3, 5), whole=True
    ),
}
BACKENDS = ["torch"] + (["ducc"] if ducc0 is not None else [])
PARAMETERS = [
    (name, backend) for name in CASES for backend in BACKENDS if "separable" not in name or backend == "torch"
]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")),
]


@cache
def build(name: str, backend: str) -> Case:
    return CASES[name](backend)


@pytest.fixture(params=PARAMETERS, ids="-".join)
def case(request) -> Case:
    return build(*request.param)


@pytest.mark.parametrize("device", DEVICES)
def test_equals_the_dense_matrix(case: Case, device: str):
    operator, x, y = case.operator.to(device), case.scenes(), case.measurements()
    matrix = case.matrix.expand(case.samples, -1, -1)
    forward = torch.einsum("bmn,bn->bm", matrix, x.flatten(1)).reshape(-1, *operator.sensor_shape)
    backward = torch.einsum("bmn,bm->bn", matrix, y.flatten(1)).reshape(-1, *operator.scene_shape)
    assert relative_error(operator(x.to(device)).cpu(), forward) < 1e-12
    assert relative_error(operator.adjoint(y.to(device)).cpu(), backward) < 1e-12


def test_adjoint_by_dot_product(case: Case):
    x, y = case.scenes(), case.measurements()
    left = (case.operator(x) * y).flatten(1).sum(1)
    right = (x * case.operator.adjoint(y)).flatten(1).sum(1)
    scale = case.operator(x).flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)
    assert bool(((left - right).abs() < 1e-10 * scale).all())


def test_adjoint_is_the_transpose_that_autograd_finds(case: Case):
    x, y = case.scenes().requires_grad_(), case.measurements().requires_grad_()
    (forward_transposed,) = torch.autograd.grad(case.operator(x), x, y.detach())
    (adjoint_transposed,) = torch.autograd.grad(case.operator.adjoint(y), y, x.detach())
    with torch.no_grad():
        assert relative_error(case.operator.adjoint(y), forward_transposed) < 1e-10
        assert relative_error(case.operator(x), adjoint_transposed) < 1e-10


def test_linear(case: Case):
    x, z = case.scenes(), case.scenes().flip(-1, -2)
    combined = case.operator(2.5 * x - 4 * z)
    assert relative_error(combined, 2.5 * case.operator(x) - 4 * case.operator(z)) < 1e-12


def test_a_result_outlives_the_next_call(case: Case):
    x, y = case.scenes(), case.measurements()
    results = case.operator(x), case.operator.adjoint(y)
    copies = [result.clone() for result in results]
    case.operator(-x), case.operator.adjoint(-y)
    assert all(torch.equal(result, copy) for result, copy in zip(results, copies, strict=True))


def test_samples_do_not_mix(case: Case):
    x, y = case.scenes(), case.measurements()
    x_other, y_other = x.clone(), y.clone()
    x_other[1:], y_other[1:] = 0, 0
    assert torch.equal(case.operator(x)[0], case.operator(x_other)[0])
    assert torch.equal(case.operator.adjoint(y)[0], case.operator.adjoint(y_other)[0])
    if case.operator.batch == 1:
        assert relative_error(case.operator(x[1:]), case.operator(x)[1:]) < 1e-13
        assert relative_error(case.operator.adjoint(y[1:]), case.operator.adjoint(y)[1:]) < 1e-13


@pytest.mark.parametrize("tracked", [False, True])
def test_out_is_written_and_input_is_not(case: Case, tracked: bool):
    for apply, argument in ((case.operator, case.scenes()), (case.operator.adjoint, case.measurements())):
        expected = apply(argument)
        before = argument.clone().requires_grad_(tracked)
        wider = (*expected.shape[:-1], expected.shape[-1] + 2)
        out = torch.full(wider, torch.nan, dtype=expected.dtype)[..., 1:-1]
        apply(before, out=out)
        assert relative_error(out.detach(), expected) < 1e-13
        assert torch.equal(before.detach(), argument)


def test_norm_squared_is_the_largest_squared_singular_value(case: Case):
    exact = torch.linalg.matrix_norm(case.matrix, 2).square()
    estimate = case.operator.norm_squared(iterations=1000, tolerance=1e-8)
    assert estimate.shape == (case.operator.batch,)
    assert bool((estimate <= exact * (1 + 1e-10)).all())
    assert bool((estimate >= exact * (1 - 1e-4)).all())
    rough = case.operator.norm_squared()
    assert bool((rough <= exact * (1 + 1e-10)).all())
    assert bool((rough >= exact * 0.98).all())


def test_to_single_precision_and_back(case: Case):
    single = case.operator.to(dtype=torch.float32)
    x, y = case.scenes(), case.measurements()
    assert (single.dtype, case.operator.dtype) == (torch.float32, torch.float64)
    assert single(x.float()).dtype == torch.float32
    assert relative_error(single(x.float()).double(), case.operator(x)) < 1e-5
    assert relative_error(single.adjoint(y.float()).double(), case.operator.adjoint(y)) < 1e-5
    again = single.to(dtype=torch.float64)
    assert relative_error(again(x), case.operator(x)) < 1e-5


def test_whole_field_agrees_inside_the_field_of_view(case: Case):
    whole, x = case.operator.whole_field(), case.scenes()
    padded = pad_centred(x, whole.scene_shape[-2:])
    assert whole.sensor_shape == case.operator.sensor_shape
    assert torch.equal(case.operator.to_field_of_view(padded), x)
    assert relative_error(whole(padded), case.operator(x)) < 1e-12


def test_refuses_what_does_not_fit(case: Case):
    for apply, name, x in (
        (case.operator, "scene", case.scenes()),
        (case.operator.adjoint, "measurement", case.measurements()),
    ):
        expected = rf"{name}: expected \(B, {', '.join(map(str, x.shape[1:]))}\)"
        with pytest.raises(InputError, match=expected + r", got \(\d"):
            apply(x[..., :-1])
        with pytest.raises(InputError, match=expected):
            apply(x[0])
        with pytest.raises(InputError, match=f"{name}: expected a floating-point tensor.*int64"):
            apply(x.long())
        with pytest.raises(InputError, match=f"{name}: expected a floating-point tensor.*ndarray"):
            apply(x.numpy())
        with pytest.raises(InputError, match=f"{name}: expected torch.float64.*got torch.float32"):
            apply(x.float())
        if x.ndim == 4 and len(set(x.shape[1:])) == 3:
            with pytest.raises(InputError, match="channels last"):
                apply(x.movedim(1, -1))
        if case.operator.batch > 1:
            with pytest.raises(InputError, match="expected B = 2, got B = 3"):
                apply(torch.cat([x, x[:1]]))
