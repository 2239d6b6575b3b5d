"""The model card: what a model is made of, what it was trained with, and under which licence it may be used."""

import dataclasses
import hashlib
import json
import typing
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from lensless.errors import InputError, check_name, require
from lensless.images.write import write_json
from lensless.versions import versions

FORMAT = 1
INPUTS = (
    "linear light, full scale 1, background subtracted; the PSF divided by one factor that makes its channels sum to 1 "
    "on average; doubling the measurement doubles the result"
)


@dataclass(frozen=True)
class Card:
    """What `card.json` holds; the last three entries are filled in when a model is saved.

    summary: what the model does, in a sentence. licence: of the weights. inputs: how measurement and PSF are scaled.
    source: where the model comes from, a paper or an address. psf: what it was trained with, see
    :func:`describe_psf`. alignment: what part of the scene was scored in training, and how predictions were scaled.
    data: data set and split. metrics: numbers by name. notes: what else a user has to know.
    architecture: see :mod:`lensless.models.architecture`. weights_sha256: of the file of weights, in hexadecimal.
    """

    summary: str
    _: KW_ONLY
    licence: str
    inputs: str = INPUTS
    source: str = ""
    psf: dict[str, Any] = field(default_factory=dict)
    alignment: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=versions)
    architecture: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""

    def notes_for(self, psf: Tensor) -> list[str]:
        """The notes, and one more where a PSF (..., C, h, w) has another size than those that the model has met."""
        shape, got = self.psf.get("shape"), list(psf.shape[-3:])
        if not isinstance(shape, list) or shape[-3:] == got:
            return self.notes
        return [*self.notes, f"was trained with PSFs of {_size(shape[-3:])}, this one is {_size(got)}"]


def write_card(path: Path, card: Card) -> None:
    """Raises InputError where the file cannot be written."""
    write_json(path, {"format": FORMAT} | dataclasses.asdict(card))


def read_card(path: Path) -> Card:
    """Raises InputError for a file that is missing, no JSON, of a later format, or has a wrong or unknown entry."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"model: expected a model card at {path}, found none") from error
    except (OSError, ValueError) as error:
        raise InputError(f"model: {path} cannot be read as JSON ({error}); is it cut off?") from error
    require(isinstance(content, dict), f"model: expected an object in {path}, got {type(content).__name__}")
    found = content.pop("format", None)
    require(
        found == FORMAT,
        f"model: expected format {FORMAT} in {path}, got {found!r}; a later version of lensless may have written it",
    )
    kinds = typing.get_type_hints(Card)
    names = [item.name for item in dataclasses.fields(Card)]
    for name in content:
        check_name(f"entry of {path}", name, names)
    for name in names:
        kind = typing.get_origin(kinds[name]) or kinds[name]
        got = type(content[name]).__name__ if name in content else "none"
        require(got == kind.__name__, f"{name}: expected {kind.__name__} in {path}, got {got}")
    return Card(**content)


def describe_psf(psf: Tensor) -> dict[str, Any]:
    """Shape, sha256 and statistics of a PSF (C, h, w) or a bank of them (N, C, h, w), for a card.

    The sha256 is of its values as little-endian float32, row by row; sums and peaks are those of each channel.
    """
    values = psf.detach().cpu().numpy().astype("<f4")
    return {
        "shape": list(psf.shape),
        "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
        "sum": psf.sum((-2, -1)).tolist(),
        "peak": psf.amax((-2, -1)).tolist(),
    }


def _size(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
