"""Weights as safetensors: tensors by name and nothing that could run."""

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lensless.errors import InputError, require

# how a zip file (torch.save since 1.6) and a pickle (before) begin
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def pack(module: nn.Module) -> bytes:
    """The weights and buffers of a module, as the content of a safetensors file.

    Raises InputError for NaN or infinite ones.
    """
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    _check_finite(state, "the model")
    return safetensors.torch.save(state)


def sha256(content: bytes) -> str:
    """In hexadecimal, as a card states it."""
    return hashlib.sha256(content).hexdigest()


def read(path: Path, *, expected_sha256: str) -> dict[str, Tensor]:
    """The tensors in a safetensors file, by name.

    Raises InputError for a file that is missing, a pickle (refused, never run), not what its card says, cut off, or
    holds NaN.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"model: expected weights at {path} ({error.strerror})") from error
    require(
        not content.startswith(PICKLES),
        f"model: expected safetensors in {path}, got a pickle, which can run code when it is read; refused",
    )
    found = sha256(content)
    require(
        found == expected_sha256,
        f"model: {path}, {len(content)} bytes, is not the file that its card describes: expected sha256 "
        f"{expected_sha256:.12}..., got {found:.12}...; is it cut off? Copy both files again",
    )
    try:
        state = safetensors.torch.load(content)
    except SafetensorError as error:
        raise InputError(f"model: {path} cannot be read as safetensors: {error}") from error
    _check_finite(state, str(path))
    return state


def _check_finite(state: dict[str, Tensor], where: str) -> None:
    bad = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    require(not bad, f"model: expected finite weights in {where}, got NaN or infinite ones in {', '.join(bad[:4])}")
