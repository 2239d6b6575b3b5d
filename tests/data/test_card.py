"""Cards: shipped ones, those beside files, and folders that need none."""

import pytest
from omegaconf import OmegaConf

from lensless.calibration.alignment import Alignment
from lensless.data.card import Card, card_names, load_card, recognise, store_alignment
from lensless.errors import InputError
from lensless.resources import resource_dir

CARD = """# our pairs
summary: pairs of ours
samples:
  kind: images
  # upside down
  flip: vertical
alignment:
  matrix:
  - [1, 0, 0]
  - [0, 1, 0]
  - [0, 0, 1]
  size: [3, 4]
# a screen of unknown brightness
brightness: relative
"""


@pytest.mark.parametrize("name", card_names())
def test_a_shipped_card_is_whole(name):
    card = load_card(resource_dir("datasets") / f"{name}.yaml")
    assert {"summary", "source", "licence", "layout"} <= set(card.about)
    assert "test" in card.splits
    if card.samples["kind"] == "hub":
        revision = card.samples["revision"]
        assert revision is None or len(bytes.fromhex(revision)) == 20


@pytest.mark.parametrize(
    ("name", "top_left", "size"), [("tapecam", (45, 95), (250, 333)), ("digicam", (80, 100), (200, 266))]
)
def test_regions_are_those_of_the_paper(name, top_left, size):
    alignment = load_card(name, folder=".").alignment
    assert (alignment.top_left, alignment.size) == (top_left, size)


def test_an_alignment_is_stored_and_all_else_stays(tmp_path):
    file = tmp_path / "card.yaml"
    file.write_text(CARD)
    store_alignment(load_card(file), Alignment.region((5, 6), (3, 4)), file)
    card = load_card(file)
    assert card.alignment == Alignment.region((5, 6), (3, 4))
    assert card.samples == {"kind": "images", "flip": "vertical"} and card.root == tmp_path
    text = file.read_text()
    assert "# upside down" in text and "# a screen of unknown brightness\nbrightness: relative" in text
    assert text.count("alignment:") == 1
    turned = Alignment(((0.5, -0.1, 1.0), (0.1, 0.5, 2.0), (0.0, 0.0, 1.0)), (3, 4))
    store_alignment(card, turned, file)
    assert load_card(file).alignment == turned
    assert OmegaConf.load(file).summary == "pairs of ours"


def test_a_recognised_folder_gets_a_card(tmp_path):
    for name in ("measurements", "scenes"):
        (tmp_path / name).mkdir()
    card = recognise(tmp_path)
    assert card.samples == {"kind": "images", "measurements": "measurements", "scenes": "scenes"}
    store_alignment(card, Alignment.region((1, 1), (2, 2)), tmp_path / "card.yaml")
    assert load_card(tmp_path).samples == card.samples


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("summary: x\n", "card.yaml: the card names no samples"),
        ("samples: {kind: image}\n", r"card.yaml: samples.kind: 'image' is not known; did you mean images"),
        ("samples: {kind: images, flipp: none}\n", "samples: 'flipp' is not known; did you mean flip"),
        ("samples: {kind: images}\nspilts: {}\n", "card.yaml: 'spilts' is not known; did you mean splits"),
        ("samples: {kind: images}\nbrightness: dim\n", "brightness: 'dim' is not known"),
        ("samples: {kind: images}\nfit_scenes: true\n", "fit_scenes: needs an alignment"),
        ("samples: {kind: images}\nalignment: {size: [1, 2]}\n", "card.yaml: alignment: expected size with either"),
        ("- 1\n", "card.yaml: expected keys and values, got a list"),
    ],
)
def test_what_a_card_says_wrong_is_named(tmp_path, text, message):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_card(tmp_path)


def test_a_psf_is_checked_when_it_is_opened(tmp_path):
    (tmp_path / "lensless").mkdir()
    with pytest.raises(InputError, match="psf: 'background_level' is not known"):
        Card(None, tmp_path, {"kind": "images", "psf": {"name": "x", "background_level": 1}}, {}).open()


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no folder of that name\): 'tapcam' is not known; did you mean tapecam"):
        load_card("tapcam")
    with pytest.raises(InputError, match=r"expected a data set with card.yaml, card.json"):
        load_card(tmp_path)
    with pytest.raises(InputError, match="no such file; expected the card of a data set"):
        load_card(tmp_path / "x.yaml")
