"""How many examples hypothesis tries: few in the suite, many with `--hypothesis-profile soak`."""

from hypothesis import settings

USUAL = 40
"""A test that names no number of its own tries so many in the suite."""


def register() -> None:
    """Make both profiles known, and the suite's the one that counts where none is named."""
    settings.register_profile("suite", max_examples=USUAL, deadline=None)
    settings.register_profile("soak", max_examples=20 * USUAL, deadline=None)
    settings.load_profile("suite")


def examples(few: int) -> int:
    """So many in the suite, and as many times more in the long version as of all others."""
    return few * settings().max_examples // USUAL
