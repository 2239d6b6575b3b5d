"""What can go wrong: a wrong request, hardware that does not answer, a link that broke."""


class InputError(ValueError):
    """Bad input: the message names the argument, what was expected, what came and what to do."""


class DeviceError(RuntimeError):
    """A camera, display or mask that is missing, busy, or does not do what it was told; trying again may help."""


class LinkError(DeviceError):
    """The connection to the agent broke; connecting again may help."""


def require(condition: bool, message: str) -> None:
    """Raise :class:`InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)
