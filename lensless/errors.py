"""The one exception that means "the input is wrong, and here is what to do"."""


class InputError(ValueError):
    """Bad input: the message names the argument, what was expected, what came and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


def require(condition: bool, message: str) -> None:
    """Raise :class:`InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)
