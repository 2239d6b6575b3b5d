import io

import pytest
import torch

from lensless.errors import InputError
from lensless.evaluation.figures import as_picture, reconstruction_figure, white_level


def random(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_as_picture_shows_the_brightest_plane_and_the_mean_channel():
    stack = random(4, 3, 5, 6)
    assert torch.equal(as_picture(stack), stack.amax(0))
    spectral = random(7, 5, 6)
    torch.testing.assert_close(as_picture(spectral), spectral.sum(0, keepdim=True) / 7)
    assert torch.equal(as_picture(spectral[:3]), spectral[:3])


def test_white_is_a_percentile_and_does_not_see_a_hot_pixel():
    picture = torch.arange(1001.0).reshape(1, 7, 143)
    assert white_level(picture, 99.0) == pytest.approx(990)
    hot = picture.clone()
    hot[0, 0, 0] = 1e9
    assert white_level(hot, 99.0) == pytest.approx(990, abs=1.1)
    assert white_level(torch.zeros(1, 3, 4)) == 1.0
    with pytest.raises(InputError, match="white: expected a percentile"):
        white_level(picture, 0)


def test_the_figure_has_a_panel_an_image_and_the_convergence():
    history = {"iteration": [1, 2], "objective": [4.0, 1.0], "residual": [0.5, 0.1]}
    figure = reconstruction_figure({"PSF": random(1, 9, 12), "scene": random(3, 9, 12)}, history)
    assert [axis.get_title() for axis in figure.axes] == ["PSF", "scene", "convergence"]
    curve = figure.axes[-1].lines[0]
    assert curve.get_ydata().tolist() == [1.0, 0.25]
    assert len(reconstruction_figure({"PSF": random(1, 9, 12)}, {}).axes) == 1
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    assert stream.getvalue().startswith(b"\x89PNG")
