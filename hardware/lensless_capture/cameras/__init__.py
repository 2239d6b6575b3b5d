"""Cameras behind one protocol, `base.Camera`; each lives in a module of its own and imports its library late."""
