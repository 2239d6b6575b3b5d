"""What every camera model is: a linear operator from scenes to measurements, with its adjoint."""

import copy
from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor

from lensless.errors import InputError


class LinearOperator(ABC):
    """y = A x with <A x, y> = <x, A* y>.

    A scene batch is (B, *scene_shape), a measurement batch (B, *sensor_shape); the last two axes are (H, W) in
    pixels. ``batch`` is the number of different cameras held: 1 serves any B, otherwise B must equal it.
    Subclasses set these attributes and write ``_forward`` and ``_adjoint``, which may write into ``out``.
    """

    scene_shape: tuple[int, ...]
    sensor_shape: tuple[int, ...]
    batch: int = 1

    def __call__(self, x: Tensor, *, out: Tensor | None = None) -> Tensor:
        """A x: scene (B, *scene_shape) to measurement (B, *sensor_shape). Raises InputError on another shape."""
        self.check(x, self.scene_shape, "scene")
        return self._forward(x, out)

    def adjoint(self, y: Tensor, *, out: Tensor | None = None) -> Tensor:
        """A* y: measurement (B, *sensor_shape) to scene (B, *scene_shape). Raises InputError on another shape."""
        self.check(y, self.sensor_shape, "measurement")
        return self._adjoint(y, out)

    @abstractmethod
    def _forward(self, x: Tensor, out: Tensor | None) -> Tensor: ...

    @abstractmethod
    def _adjoint(self, y: Tensor, out: Tensor | None) -> Tensor: ...

    @abstractmethod
    def _tensors(self) -> "dict[str, Tensor | LinearOperator]":
        """The tensors, or operators, that define this one, by attribute name; the first gives device and dtype."""

    @property
    def device(self) -> torch.device:
        return next(iter(self._tensors().values())).device

    @property
    def dtype(self) -> torch.dtype:
        return next(iter(self._tensors().values())).dtype

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same operator on another device or in another floating-point type."""
        moved = copy.copy(self)
        for name, tensor in self._tensors().items():
            setattr(moved, name, tensor.to(device=device, dtype=dtype))
        moved._refresh()
        return moved

    def _refresh(self) -> None:
        """Recompute what is derived from ``_tensors`` after these were replaced."""

    def check(self, x: Tensor, shape: tuple[int, ...], name: str) -> None:
        """Raise InputError unless ``x`` is a batch of ``shape`` that this operator can take."""
        expected = f"(B, {', '.join(map(str, shape))})"
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise InputError(f"{name}: expected a floating-point tensor {expected}, got {kind}")
        if x.ndim != len(shape) + 1 or tuple(x.shape[1:]) != tuple(shape):
            hint = ""
            if x.ndim == 4 and tuple(x.shape[1:]) == (*shape[1:], shape[0]):
                hint = "; channels last? use x.movedim(-1, -3)"
            raise InputError(f"{name}: expected {expected}, got {tuple(x.shape)}{hint}")
        if self.batch not in (1, x.shape[0]):
            raise InputError(
                f"{name}: the operator holds {self.batch} different PSFs, one for every sample of a batch; expected "
                f"B = {self.batch}, got B = {x.shape[0]}"
            )
        if x.dtype != self.dtype or x.device != self.device:
            raise InputError(
                f"{name}: expected {self.dtype} on {self.device} like the operator, got {x.dtype} on {x.device}; "
                "use operator.to(device, dtype)"
            )

    def whole_field(self) -> "LinearOperator":
        """The operator on the largest scene that the sensor can see; ``to_field_of_view`` is its way back.

        Light from outside the nominal field of view reaches the sensor too. Solvers explain it by solving for
        the whole field and keeping the centre. Operators without such a margin return themselves.
        """
        return self

    def to_field_of_view(self, x: Tensor) -> Tensor:
        """The part of a whole-field scene that lies in this operator's scene."""
        return x

    @torch.no_grad()
    def norm_squared(self, *, iterations: int = 50, tolerance: float = 1e-4) -> Tensor:
        """Largest eigenvalue of A* A by power iteration, one for each of the ``batch`` cameras, shape (batch,).

        x <- A* A x / ||A* A x||, started from a constant plus a fixed pseudo-random image, until the relative
        change of the Rayleigh quotient is below ``tolerance``. The quotient approaches the norm from below.
        """
        generator = torch.Generator().manual_seed(0)
        start = torch.rand(self.scene_shape, generator=generator, dtype=torch.float64) + 0.5
        x = start.to(device=self.device, dtype=self.dtype).expand(self.batch, *self.scene_shape)
        axes = tuple(range(1, x.ndim))
        previous = None
        for _ in range(iterations):
            x = x / torch.linalg.vector_norm(x, dim=axes, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
            y = self._forward(x, None)
            value = y.square().flatten(1).sum(1)
            if previous is not None and bool((value - previous).abs().le(tolerance * value).all()):
                break
            previous = value
            x = self._adjoint(y, None)
        return value
