"""Capture for lensless cameras: what runs on the Raspberry Pi, and the workstation's end of the SSH link to it.

Cameras are in `cameras`, what is shown in `display` and `mask`, all three together in `rig`; `exposure` and `merge`
work on frames; `records` writes the folder that the workstation reads; `plan` and `collect` measure a data set;
`wire`, `agent` and `remote` carry a rig over SSH. It needs numpy and Pillow, and imports no vendor library at import.
"""
