"""Versions of what decides the numbers, for records and model cards."""

import importlib.metadata
import platform


def versions() -> dict[str, str]:
    """Of this library, torch, numpy, Python and the system."""
    packages = {name: version(name) for name in ("lensless-torch", "torch", "numpy")}
    return packages | {"python": platform.python_version(), "platform": platform.platform()}


def version(package: str) -> str:
    """Version of a package as installed; a checkout that is only on the path has none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
