"""Imported before LenslessPiCam: lets PyPI's torchvision, built for CUDA, be imported beside torch for the CPU.

Two of its operators, which nothing here calls, are missing there, and torchvision stops when it attaches to them.
Declared without an implementation they satisfy it, and all that it computes in Python, such as its resize, is its own.
"""

import torch

try:
    import torchvision
except RuntimeError:
    _OPERATORS = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        _OPERATORS.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision  # noqa: F401
