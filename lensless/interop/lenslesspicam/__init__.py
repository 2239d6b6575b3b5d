"""What LenslessPiCam 1.0.8 does differently, kept apart so that its published models give the numbers they gave there.

Each class here states one behaviour of that package, known from its documentation and from running it. Nothing else
in this library imports them; :func:`lensless.interop.from_lenslesspicam.from_lenslesspicam` puts them together.
"""
