"""Mask patterns as pure functions of numbers, one family a file.

Maps are float64 tensors on a grid, its sample (H // 2, W // 2) on the axis; amplitudes lie in [0, 1], heights are
metres. What a mask does to light is said in ``physics.masks``; finished ones are in ``mask_designs`` (maps of cells),
``mask_shapes`` (a few numbers) and ``lcd`` (a display).
"""
