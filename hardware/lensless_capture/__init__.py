"""Capture for lensless cameras: what runs on the Raspberry Pi, and the workstation's end of the SSH link to it.

Cameras are in `cameras`, what is shown in `screens` and `mask`, all three together in `rig`; `exposure`, `merge` and
`drift` work on frames; `records` writes the folder that the workstation reads; `plan`, `collect` and `report` measure a
data set; `wire`, `agent` and `remote` carry a rig over SSH. Needs numpy and Pillow; a vendor's library is imported
where its device is opened.
"""
