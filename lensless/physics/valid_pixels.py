"""Pixels that carry no measurement, as a composition with any camera: y = m . (A x)."""

from torch import Tensor

from lensless.errors import InputError
from lensless.physics.operator import LinearOperator


class ValidPixels(LinearOperator):
    """y = m . (A x) with m = 1 at the sensor pixels to be believed, 0 at dead, saturated or unsampled ones.

    Multiply the measurement by the mask too: what it holds elsewhere has no part in A* y, but in ||Ax - y||.

    operator: the camera A. mask: (h, w), (C or 1, h, w), or (B, C or 1, h, w) with a mask for each sample;
    boolean or 0 and 1. It is kept as (B or 1, C or 1, h, w) in the operator's dtype. Raises InputError on a
    mask of another shape, with other values, or without a valid pixel.
    """

    def __init__(self, operator: LinearOperator, *, mask: Tensor):
        channels, height, width = operator.sensor_shape
        expected = f"({height}, {width}), ({channels} or 1, {height}, {width}) or a batch of the latter"
        if not isinstance(mask, Tensor) or mask.ndim not in (2, 3, 4):
            got = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
            raise InputError(f"mask: expected a tensor {expected}, got {got}")
        images = mask.reshape(*[1] * (4 - mask.ndim), *mask.shape)
        if images.shape[1] not in (1, channels) or images.shape[2:] != (height, width):
            raise InputError(f"mask: expected {expected}, got {tuple(mask.shape)}")
        if operator.batch > 1 and images.shape[0] not in (1, operator.batch):
            raise InputError(
                f"mask: expected 1 or {operator.batch} masks like the operator's PSFs, got {images.shape[0]}"
            )
        if not bool(((images == 0) | (images == 1)).all()):
            raise InputError("mask: expected 0 (ignore) and 1 (valid) alone, got other values")
        if not bool(images.flatten(1).any(1).all()):
            raise InputError("mask: expected at least one valid pixel, got none; is 1 the valid value?")
        self.operator = operator
        self.mask = images.to(device=operator.device, dtype=operator.dtype)
        self.batch = max(operator.batch, images.shape[0])
        self.scene_shape = operator.scene_shape
        self.sensor_shape = operator.sensor_shape

    def _tensors(self) -> dict[str, Tensor | LinearOperator]:
        return {"operator": self.operator, "mask": self.mask}

    def _forward(self, x: Tensor, out: Tensor | None) -> Tensor:
        return self.operator(x, out=out).mul_(self.mask)

    def _adjoint(self, y: Tensor, out: Tensor | None) -> Tensor:
        return self.operator.adjoint(y * self.mask, out=out)

    def whole_field(self) -> "ValidPixels":
        """The same camera and mask on the operator's whole field."""
        return ValidPixels(self.operator.whole_field(), mask=self.mask)

    def to_field_of_view(self, x: Tensor) -> Tensor:
        """The part of a whole-field scene that lies in the operator's scene."""
        return self.operator.to_field_of_view(x)


def unsaturated(y: Tensor, level: float) -> Tensor:
    """Mask of the pixels below ``level``: m = y < level, of the shape of ``y`` (NaN counts as saturated)."""
    return y < level
