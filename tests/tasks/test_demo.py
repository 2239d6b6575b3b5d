import json

import pytest
import skimage.data
import torch

from lensless.cli import main
from lensless.images.gamma import srgb_to_linear
from lensless.images.read import read_image
from lensless.tasks import demo

SIZE = (66, 85)


def test_the_demo_writes_a_figure_and_its_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "size=[66,85]", "recon.iterations=30", "recon.progress=false"]) == 0
    content = json.loads((tmp_path / "outputs/demo/demo.json").read_text())
    assert content["metrics"]["psnr_affine"] > 15
    assert "PSNR {psnr_affine:.2f} dB".format(**content["metrics"]) in capsys.readouterr().out
    figure = read_image(tmp_path / "outputs/demo/demo.png")
    assert figure.shape[0] == 3 and min(figure.shape[1:]) > 300
    assert sorted(path.name for path in (tmp_path / "outputs/demo").iterdir()) == ["demo.json", "demo.png"]


def test_the_mask_sends_every_ray_somewhere_near():
    psf = demo._tape_psf(SIZE, seed=3)
    assert psf.shape == (1, *SIZE)
    rays = 16 * (SIZE[0] - 2 * (SIZE[0] // 4)) * (SIZE[1] - 2 * (SIZE[1] // 4))
    assert 0.95 * rays < psf.sum() <= rays * (1 + 1e-5)
    assert psf[0, :, 0].max() < 0.01 * psf.max()
    assert torch.equal(psf, demo._tape_psf(SIZE, seed=3))
    assert not torch.equal(psf, demo._tape_psf(SIZE, seed=4))


def test_the_exposure_has_the_noise_and_the_levels_asked_for():
    light = 0.3 + torch.rand(3, 200, 210, generator=torch.Generator().manual_seed(0))
    signal = 0.9 * light / light.max()
    counts = demo._expose(light, snr=30, bits=12, seed=5)
    noise = counts - signal
    assert 10 * torch.log10(signal.square().mean() / noise.square().mean()) == pytest.approx(30, abs=0.1)
    levels = counts * 4095
    assert (levels - levels.round()).abs().max() < 1e-3
    assert torch.equal(counts, demo._expose(light, snr=30, bits=12, seed=5))


def test_the_scene_is_linear_light_in_the_sensors_proportions():
    scene = demo._astronaut(SIZE)
    assert scene.shape == (3, *SIZE)
    picture = torch.from_numpy(skimage.data.astronaut()[:398] / 255).movedim(-1, 0)  # 512 * 66 / 85 rows
    expected = srgb_to_linear(picture).mean((1, 2)).float()
    torch.testing.assert_close(scene.mean((1, 2)), expected, rtol=1e-3, atol=0)
