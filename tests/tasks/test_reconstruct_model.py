"""`lensless reconstruct model=...`: a trained model in place of a solver."""

import json

import numpy as np
import pytest
import torch

from lensless.cli import main
from lensless.images.prepare import normalise_psf
from lensless.images.read import read_image
from lensless.images.write import write_npy
from lensless.models.background import BackgroundSubtraction
from lensless.models.card import Card, describe_psf
from lensless.models.modular import ModularReconstruction
from lensless.models.pretrained import Model
from lensless.models.processor import Processor
from lensless.models.unet import LightUNet
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.unrolled import UnrolledADMM

SHAPE = (21, 34)


def image(seed, channels=3):
    return torch.rand(channels, *SHAPE, generator=torch.Generator().manual_seed(seed))


def processor(seed, channels=3):
    """With random weights: what it makes differs from what it gets."""
    torch.manual_seed(seed)
    made = Processor(LightUNet(channels + 1, out_channels=channels, widths=(4, 6), blocks=1))
    torch.nn.init.normal_(made.network.body.m_tail.weight, std=0.1)
    return made


def save(folder, *, psf_shape=(3, *SHAPE), **parts):
    card = Card("a test", licence="CC0-1.0", psf=describe_psf(torch.ones(psf_shape)), notes=["made of noise"])
    return Model(ModularReconstruction(**parts).eval(), card).save(folder).reconstruction


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A PSF, a measurement and a model of all three parts, in a working folder of their own."""
    monkeypatch.chdir(tmp_path)
    psf = image(0) ** 8
    write_npy("psf.npy", psf)
    write_npy("y.npy", LenslessConvolution(psf)(image(1)[None])[0] / psf.sum())
    save("model", inversion=UnrolledADMM(3), pre=processor(0), post=processor(1))
    return tmp_path


def run(*words):
    return main(["reconstruct", "psf=psf.npy", "measurement=y.npy", "output=out", *words])


def record(path="out/y.json"):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def test_the_command_gives_what_the_library_gives(files, capsys):
    assert run("model=model") == 0
    y, psf = read_image("y.npy"), normalise_psf(read_image("psf.npy"))[0]
    with torch.no_grad():
        expected = Model.from_pretrained("model").reconstruction(y[None], LenslessConvolution(psf))[0]
    np.testing.assert_allclose(np.load("out/y.npy"), expected.movedim(0, -1), rtol=1e-5, atol=1e-6)
    printed = capsys.readouterr().out
    assert "feed-forward" in printed and "model: made of noise" in printed


def test_the_record_names_the_model_and_its_weights(files):
    assert run("model=model") == 0
    content, card = record(), record("model/card.json")
    assert content["model"]["name"] == "model"
    assert content["model"]["weights_sha256"] == card["weights_sha256"]
    assert content["model"]["licence"] == "CC0-1.0"
    assert content["config"]["model"] == "model" and "recon" not in content["config"]
    assert content["notes"] == ["model: made of noise"]


def test_a_psf_of_another_size_than_in_training_is_taken_and_noted(files):
    save("model", inversion=UnrolledADMM(2), psf_shape=(3, 270, 480))
    assert run("model=model") == 0
    assert "model: was trained with PSFs of 3 x 270 x 480, this one is 3 x 21 x 34" in record()["notes"]


def test_the_figure_shows_the_stages(files):
    assert run("model=model", "view.flip=vertical") == 0
    assert run("output=plain", "recon=wiener") == 0
    with_stages, plain = (read_image(f"{name}/y_figure.png").shape[2] for name in ("out", "plain"))
    # five pictures in place of three
    assert with_stages / plain == pytest.approx(5 / 3, abs=0.1)


def test_a_model_that_takes_a_background_is_given_one(files):
    save("subtracts", inversion=UnrolledADMM(3), background=BackgroundSubtraction())
    save("plain", inversion=UnrolledADMM(3))
    assert run("model=plain") == 0
    plain = np.load("out/y.npy")
    light = np.random.default_rng(0).random((*SHAPE, 3), np.float32)
    np.save("light.npy", light)
    np.save("y.npy", np.load("y.npy") + light)
    assert run("model=subtracts", "background=light.npy") == 0
    np.testing.assert_allclose(np.load("out/y.npy"), plain, rtol=1e-3, atol=1e-4)


def test_a_result_is_made_again_when_the_model_changed(files, capsys):
    assert run("model=model") == 0
    first = np.load("out/y.npy")
    assert run("model=model") == 0
    assert "finished already" in capsys.readouterr().out
    save("model", inversion=UnrolledADMM(3), pre=processor(0), post=processor(2))
    assert run("model=model") == 0
    assert not np.array_equal(np.load("out/y.npy"), first)
    (files / "model").rename(files / "moved")
    assert run("model=moved") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=none"], "model: none is no folder, no OWNER/NAME@COMMIT on the hub and none of the shipped models"),
        (["model=owner/name"], "revision: expected the 40 hexadecimal digits of a commit, as in owner/name@COMMIT"),
        (["model=owner/name@main"], "revision: expected the 40 hexadecimal digits of a commit"),
        (["model=gray"], "x: expected (B, 1, H, W) for this network, got (1, 3, 21, 34)"),
        (["model=empty"], "model: expected a model card at empty/card.json, found none"),
        (["model=model", "background=y.npy"], "background: the processor was made with background=False, got one"),
        (["model=takes_background"], "background: BackgroundSubtraction needs one, got none"),
        (["background=y.npy"], "background: expected with model=, for a solver use prepare.background"),
        (["model=takes_background", "background=none.npy"], "background: none.npy: expected a file"),
        (["model=takes_background", "background=*.npy"], "background: expected one image, got 3"),
        (["model=takes_background", "background=small.npy"], "background: expected (B, 3, 21, 34), got (1, 3, 20, 34)"),
    ],
)
def test_bad_input_ends_with_2_a_message_and_no_files(files, capsys, words, message):
    (files / "empty").mkdir()
    save("gray", post=processor(0, channels=1))
    save("takes_background", inversion=UnrolledADMM(1), background=BackgroundSubtraction())
    np.save("small.npy", np.load("y.npy")[1:])
    before = sorted(files.rglob("*"))
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("lensless: error: ")
    assert message in error
    assert sorted(files.rglob("*")) == before
