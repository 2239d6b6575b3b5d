"""Model folders: what is written comes back, and what is wrong with one is said."""

import hashlib
import io
import json
import os
import pickle
import resource
import signal

import pytest
import safetensors.torch
import torch

from lensless.errors import InputError
from lensless.models.architecture import describe
from lensless.models.card import Card, describe_psf
from lensless.models.drunet import DRUNet
from lensless.models.modular import ModularReconstruction
from lensless.models.pretrained import Model
from lensless.models.processor import Processor
from lensless.physics.convolution import LenslessConvolution
from lensless.recon.unrolled import UnrolledADMM

SHAPE = (13, 18)


def composition(*, width=4, iterations=2, seed=0):
    torch.manual_seed(seed)
    post = Processor(DRUNet(4, widths=(width, 8), blocks=1))
    return ModularReconstruction(UnrolledADMM(iterations), post=post).eval()


def make_model(**options):
    psf = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    card = Card(
        "for a test",
        licence="CC0-1.0",
        psf=describe_psf(psf),
        data={"name": "noise", "split": {"train": [0, 8], "test": [8, 10]}},
        metrics={"psnr": 12.5},
        notes=["a note"],
    )
    return Model(composition(**options), card)


@pytest.fixture
def folder(tmp_path):
    make_model().save(tmp_path / "model")
    return tmp_path / "model"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit_card(folder, **entries):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | entries))


def put_weights(folder, data):
    """Replace the weights by ``data``, and let the card agree, as a forger would."""
    (folder / "model.safetensors").write_bytes(data)
    edit_card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def state_of(folder):
    return safetensors.torch.load_file(folder / "model.safetensors")


def test_a_model_comes_back_and_computes_the_same(folder):
    again, model = Model.from_pretrained(folder), make_model()
    psf = torch.rand(2, 3, *SHAPE, generator=torch.Generator().manual_seed(1))
    y = torch.rand(2, 3, *SHAPE, generator=torch.Generator().manual_seed(2))
    physics = LenslessConvolution(psf)
    with torch.no_grad():
        assert torch.equal(again.reconstruction(y, physics), model.reconstruction(y, physics))
    assert not again.reconstruction.training
    assert again.card.notes == ["a note"] and again.card.metrics == {"psnr": 12.5}


def test_the_card_says_what_the_model_is(folder):
    card = json.loads((folder / "card.json").read_text())
    assert card["format"] == 1
    assert card["weights_sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert card["architecture"]["inversion"] == {"_target_": "lensless.recon.unrolled.UnrolledADMM", "iterations": 2}
    assert card["licence"] == "CC0-1.0" and card["psf"]["shape"] == [3, *SHAPE]
    assert {"lensless-torch", "torch", "python"} <= set(card["versions"])
    assert sorted(content(folder)) == ["card.json", "model.safetensors"]


def test_saving_what_was_loaded_writes_the_same_bytes(folder, tmp_path):
    Model.from_pretrained(folder).save(tmp_path / "again")
    assert content(tmp_path / "again") == content(folder)


def test_the_psf_is_described_by_numbers_that_can_be_checked():
    psf = torch.tensor([[[0.0, 0.5], [0.25, 0.25]], [[1.0, 0.0], [0.0, 2.0]]])
    described = describe_psf(psf)
    little_endian = bytes.fromhex("00000000 0000003f 0000803e 0000803e 0000803f 00000000 00000000 00000040")
    assert described == {
        "shape": [2, 2, 2],
        "sha256": hashlib.sha256(little_endian).hexdigest(),
        "sum": [1.0, 3.0],
        "peak": [0.5, 2.0],
    }


def test_a_psf_of_another_size_is_told():
    card = make_model().card
    assert card.notes_for(torch.ones(3, *SHAPE)) == ["a note"]
    assert card.notes_for(torch.ones(3, 20, 30)) == [
        "a note",
        "was trained with PSFs of 3 x 13 x 18, this one is 3 x 20 x 30",
    ]
    assert Card("", licence="").notes_for(torch.ones(1, 5, 7)) == []


def test_a_full_disk_leaves_the_old_model_whole(folder):
    before = content(folder)
    half = (folder / "model.safetensors").stat().st_size // 2
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (half, 100):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
            with pytest.raises(InputError, match=r"model\.safetensors: cannot be written"):
                make_model(seed=1).save(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert content(folder) == before


def test_weights_that_are_not_finite_are_neither_written_nor_read(folder):
    before, broken = content(folder), make_model()
    broken.reconstruction.post.network.m_head.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match=r"expected finite weights in the model, .* post\.network\.m_head\.weight"):
        broken.save(folder)
    assert content(folder) == before
    state = state_of(folder)
    state["post.noise_level"] = torch.tensor(torch.inf)
    put_weights(folder, safetensors.torch.save(state))
    with pytest.raises(InputError, match=r"got NaN or infinite ones in post.noise_level"):
        Model.from_pretrained(folder)


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("ran",))


@pytest.mark.parametrize("kind", ["zip", "old", "pickle"])
def test_a_pickle_in_the_place_of_the_weights_is_refused_and_never_run(folder, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    file = folder / "model.safetensors"
    if kind == "pickle":
        file.write_bytes(pickle.dumps(Trap()))
    else:
        torch.save(Trap(), file, _use_new_zipfile_serialization=kind == "zip")
    put_weights(folder, file.read_bytes())
    with pytest.raises(InputError, match="got a pickle, which can run code when it is read; refused"):
        Model.from_pretrained(folder)
    assert not (tmp_path / "ran").exists()
    # it would have run
    if kind == "pickle":
        pickle.loads(file.read_bytes())
    else:
        torch.load(io.BytesIO(file.read_bytes()), weights_only=False)
    assert (tmp_path / "ran").exists()


def test_a_file_that_was_cut_off_is_refused(folder):
    data = (folder / "model.safetensors").read_bytes()
    for length in (0, 5, 200, len(data) - 1):
        (folder / "model.safetensors").write_bytes(data[:length])
        with pytest.raises(InputError, match=rf"model\.safetensors, {length} bytes, is not the file .* cut off"):
            Model.from_pretrained(folder)
        put_weights(folder, data[:length])
        with pytest.raises(InputError, match="cannot be read as safetensors"):
            Model.from_pretrained(folder)
        edit_card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


def test_weights_of_another_shape_are_told(folder):
    edit_card(folder, architecture=describe(composition(width=6)))
    with pytest.raises(InputError, match=r"m_head\.weight \(4, 4, 3, 3\) instead of \(6, 4, 3, 3\)"):
        Model.from_pretrained(folder)


def test_weights_of_other_parts_are_told(folder):
    state = state_of(folder)
    state["pre.noise_level"] = state.pop("post.noise_level")
    put_weights(folder, safetensors.torch.save(state))
    with pytest.raises(InputError, match=r"1 missing there: post\.noise_level; 1 unknown here: pre\.noise_level"):
        Model.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "card.json").unlink(), "expected a model card at .*card.json, found none"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"expected weights at .* \(No such file"),
        (lambda folder: (folder / "card.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "card.json").write_bytes(b"\xff\xfe"), "cannot be read as JSON"),
        (lambda folder: (folder / "card.json").write_text("[]"), "expected an object in .*, got list"),
        (lambda folder: edit_card(folder, format=2), "expected format 1 in .*, got 2; a later version"),
        (lambda folder: edit_card(folder, notes="a"), "notes: expected list in .*, got str"),
        (lambda folder: edit_card(folder, licenc="MIT"), "'licenc' is not known; did you mean licence"),
        (lambda folder: edit_card(folder, architecture={"_target_": "os.system"}), "'os.system' is not known"),
        (
            lambda folder: edit_card(folder, architecture={"_target_": "lensless.recon.wiener.Wiener"}),
            "architecture: expected a ModularReconstruction in .*, got Wiener",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(folder, change, message):
    change(folder)
    with pytest.raises(InputError, match=message):
        Model.from_pretrained(folder)


def test_a_card_that_lacks_an_entry_names_it(folder):
    card = json.loads((folder / "card.json").read_text())
    del card["licence"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match=r"licence: expected str in .*, got none"):
        Model.from_pretrained(folder)


def test_a_folder_of_lenslesspicam_is_pointed_to_the_importer(tmp_path):
    (tmp_path / "theirs" / ".hydra").mkdir(parents=True)
    with pytest.raises(InputError, match=r"`lensless import .*theirs` makes a model of it"):
        Model.from_pretrained(tmp_path / "theirs")
