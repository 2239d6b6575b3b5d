"""Cameras without lenses: physics, reconstruction, learning, calibration and benchmark on PyTorch."""
