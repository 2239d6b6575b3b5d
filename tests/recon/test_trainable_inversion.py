"""FlatNet's inversions: Wiener and the matrices' inverse before training, any filter and any matrix after it."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from lensless.errors import InputError
from lensless.physics.convolution import LenslessConvolution
from lensless.physics.fft import crop_centred, pad_centred
from lensless.physics.separable import SeparableMask
from lensless.recon.separable_tikhonov import SeparableTikhonov
from lensless.recon.trainable_inversion import SeparableTrainableInversion, TrainableInversion
from lensless.recon.wiener import Wiener, fade_to_grid


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


@pytest.mark.parametrize("filter_shape", [None, (5, 4)])
@pytest.mark.parametrize("scene_shape", [(9, 14), (7, 11), (13, 16)])
def test_is_wiener_before_training(scene_shape: tuple[int, int], filter_shape: tuple[int, int] | None):
    camera, y = LenslessConvolution(uniform(2, 2, 9, 14), scene_shape=scene_shape), uniform(2, 2, 9, 14, seed=1)
    inversion = TrainableInversion(0.02, channels=2, filter_shape=filter_shape).double()
    close(inversion(y, camera), Wiener(0.02)(y, camera))


def test_every_channel_has_its_own_k():
    camera, y = LenslessConvolution(uniform(2, 9, 14)), uniform(1, 2, 9, 14, seed=1)
    inversion = TrainableInversion(0.02, channels=2).double()
    inversion.log_factor.data[1] = math.log(5)
    x = inversion(y, camera)
    close(x[:, 0], Wiener(0.02)(y, camera)[:, 0])
    close(x[:, 1], Wiener(0.1)(y, camera)[:, 1])


def test_the_filter_is_a_linear_convolution_with_the_faded_measurement():
    camera, y = LenslessConvolution(uniform(1, 6, 9)), uniform(1, 1, 6, 9, seed=1)
    inversion = TrainableInversion(channels=1, filter_shape=(3, 5)).double()
    without = inversion(y, camera)
    inversion.filter.data = uniform(1, 3, 5, seed=2)
    largest = np.abs(np.fft.fft2(camera.psf[0, 0].numpy(), s=camera.fft.shape)).max()
    faded = fade_to_grid(y, camera.fft.shape)[0, 0].numpy()
    added = torch.from_numpy(convolve2d(faded, inversion.filter[0].detach().numpy(), mode="same"))[None, None]
    close(inversion(y, camera) - without, crop_centred(added, (6, 9)) / largest, 1e-10)


def test_a_filter_of_the_whole_grid_can_become_any_filter():
    """FlatNet's inversion, a free filter g: reached by filter = h (g - Wiener's impulse response)."""
    camera, y = LenslessConvolution(uniform(1, 5, 7)), uniform(2, 1, 5, 7, seed=1)
    grid = camera.fft.shape
    inversion = TrainableInversion(0.01, channels=1, filter_shape=grid).double()
    spectrum = np.fft.fft2(np.fft.ifftshift(pad_centred(camera.psf, grid)[0, 0]))
    h = np.abs(spectrum).max()
    wiener = np.fft.fftshift(np.fft.ifft2(spectrum.conj() / (np.abs(spectrum) ** 2 + 0.01 * h**2)).real)
    g = uniform(3, 3, seed=2)
    inversion.filter.data = h * (pad_centred(g, grid) - torch.from_numpy(wiener))[None]
    faded = fade_to_grid(y, grid)[:, 0]
    expected = torch.stack([torch.from_numpy(convolve2d(image, g, mode="same")) for image in faded])[:, None]
    close(inversion(y, camera), crop_centred(expected, (5, 7)), 1e-10)


def test_refuses_a_filter_larger_than_the_grid():
    camera = LenslessConvolution(uniform(1, 5, 7), fft_shape=(10, 16))
    with pytest.raises(InputError, match=r"filter_shape: expected at most the camera's grid \(10, 16\), got \(11, 3\)"):
        TrainableInversion(channels=1, filter_shape=(11, 3)).double()(uniform(1, 1, 5, 7), camera)


def separable() -> SeparableMask:
    return SeparableMask(uniform(2, 3, 9, 6), right=uniform(3, 11, 7, seed=1))


def test_is_the_regularised_inverse_of_the_matrices_before_training():
    """(L^T L + k s_0^2)^-1 L^T, which equals V diag(s / (s^2 + k s_0^2)) U^T."""
    camera, y, k = separable(), uniform(2, 3, 9, 11, seed=2), 0.02
    inversion = SeparableTrainableInversion((9, 11), scene_shape=(6, 7), k=k).double()

    def inverse(matrix: torch.Tensor) -> torch.Tensor:
        largest = torch.linalg.matrix_norm(matrix, 2).amax(-1)[:, None, None, None]
        gram = matrix.mT @ matrix
        return torch.linalg.solve(gram + k * largest.square() * torch.eye(gram.shape[-1]).double(), matrix.mT)

    close(inversion(y, camera), inverse(camera.left) @ y @ inverse(camera.right).mT)


def test_inverts_a_separable_camera_when_hardly_regularised():
    camera, x = separable(), uniform(2, 3, 6, 7, seed=2)
    inversion = SeparableTrainableInversion((9, 11), scene_shape=(6, 7), k=1e-14).double()
    close(inversion(camera(x), camera), x, 1e-8)
    close(inversion(camera(x), camera), SeparableTikhonov(1e-14)(camera(x), camera), 1e-8)


def test_the_matrices_can_become_any_matrices():
    camera, y = separable(), uniform(1, 3, 9, 11, seed=2)
    camera = SeparableMask(camera.left[:1], right=camera.right)
    inversion = SeparableTrainableInversion((9, 11), scene_shape=(6, 7), k=1e-14).double()
    wanted = [uniform(3, 6, 9, seed=3), uniform(3, 7, 11, seed=4)]
    matrices = camera.left[0], camera.right[0]
    for difference, matrix, target in zip(inversion.differences, matrices, wanted, strict=True):
        largest = torch.linalg.matrix_norm(matrix, 2).max()
        difference.data = largest * (target - torch.linalg.pinv(matrix))
    close(inversion(y, camera), wanted[0] @ y @ wanted[1].mT, 1e-8)


def test_refuses_separable_cameras_of_other_shapes():
    inversion, y = SeparableTrainableInversion((9, 11), scene_shape=(6, 8)).double(), uniform(2, 3, 9, 11)
    with pytest.raises(InputError, match=r"made for scenes \(3, 6, 8\) and .* the camera has \(3, 6, 7\) and"):
        inversion(y, separable())
    with pytest.raises(InputError, match="SeparableTrainableInversion needs a SeparableMask, got LenslessConvolution"):
        inversion(y, LenslessConvolution(uniform(3, 9, 11)))
