"""Screens behind one protocol, `base.Screen`: the monitor in front of the camera, and LCDs that serve as its mask."""
