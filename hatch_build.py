"""Build hook: the wheel carries `configs/` and `datasets/` as `lensless/_resources/`."""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ResourceHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if version != "editable":
            for folder in ("configs", "datasets"):
                build_data["force_include"][folder] = f"lensless/_resources/{folder}"
