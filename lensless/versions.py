"""Versions of what decides the numbers, for records and model cards."""

import importlib.metadata
import os
import platform
from pathlib import Path


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


def machine() -> str:
    """Processor and cores: "AMD EPYC, 2 cores"."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"
