"""What the command line prints without a traceback: wrong input, and a solver that diverged."""


class InputError(ValueError):
    """Bad input: the message names the argument, what was expected, what came and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class NonFiniteError(RuntimeError):
    """A solver's estimate became NaN or infinite; the message names the iteration."""


def require(condition: bool, message: str) -> None:
    """Raise :class:`InputError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise InputError(message)
