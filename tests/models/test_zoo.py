"""From a name to a folder."""

import pytest
import torch

from lensless.errors import InputError
from lensless.models import zoo
from lensless.models.card import Card
from lensless.models.modular import ModularReconstruction
from lensless.models.pretrained import FILES, Model
from lensless.physics.system import get_system
from lensless.recon.unrolled import UnrolledADMM


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A library that ships the models "one" and "two", and a working folder beside it."""
    for name, iterations in (("one", 1), ("two", 2)):
        Model(ModularReconstruction(UnrolledADMM(iterations)), Card("", licence="")).save(tmp_path / "library" / name)
    monkeypatch.setattr(zoo, "SHIPPED", tmp_path / "library")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "library"


def iterations(name, **options):
    return Model.from_pretrained(name, **options).reconstruction.inversion.iterations


def test_a_shipped_model_is_found_by_name_and_a_folder_goes_first(shipped):
    assert zoo.names() == ["one", "two"]
    assert (iterations("one"), iterations("two")) == (1, 2)
    Model(ModularReconstruction(UnrolledADMM(3)), Card("", licence="")).save("one")
    Model(ModularReconstruction(UnrolledADMM(4)), Card("", licence="")).save("owner/name")
    assert (iterations("one"), iterations("owner/name"), iterations(shipped / "one")) == (3, 4, 1)


def test_a_name_that_is_nothing_says_what_there_is(shipped):
    with pytest.raises(InputError, match=r"model: three is no folder, .* none of the shipped models: one, two"):
        Model.from_pretrained("three")
    with pytest.raises(InputError, match="model: one is no folder"):
        Model.from_pretrained("one", revision="0" * 40)


def test_a_revision_is_one_of_the_hub_even_where_a_folder_has_the_name(shipped):
    Model(ModularReconstruction(UnrolledADMM(4)), Card("", licence="")).save("owner/name")
    with pytest.raises(InputError, match="expected the 40 hexadecimal digits of a commit"):
        zoo.locate("owner/name", revision="main", files=FILES)


@pytest.mark.parametrize("name", zoo.names())
def test_every_shipped_model_loads_and_reconstructs(name):
    system = get_system("tape", size="tiny")
    scene = torch.rand(1, *system.physics.scene_shape, generator=torch.Generator().manual_seed(0))
    model = Model.from_pretrained(name)
    with torch.no_grad():
        image = model.reconstruction(system.physics(scene), system.physics)
    assert image.shape == scene.shape and bool(image.isfinite().all())
    assert model.card.summary and model.card.licence and model.card.psf
