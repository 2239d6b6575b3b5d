"""What the command line prints without a traceback: wrong input, and a solver that diverged."""


import difflib


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


def check_name(kind: str, name: str, known: list[str]) -> None:
    """Raise InputError with the nearest names unless ``name`` is one of ``known``."""
    if name not in known:
        raise unknown(kind, name, difflib.get_close_matches(name, known), known)


def unknown(kind: str, name: str, near: list[str], known: list[str]) -> InputError:
    """The error for a ``name`` that is none of ``known``, of which ``near`` may have been meant."""
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return InputError(f"{kind}: {name!r} is not known; {hint}")
