"""The errors people see.

Every message says what was wrong, where (system, table, key column: never a value of a person) and what to do next.
"""


class SvError(Exception):
    """Something went wrong that its reader can act on: one sentence, with the next step."""


class ConfigurationError(SvError):
    """The declaration or the environment is wrong; trying again without changing it cannot help."""


class TransientError(SvError):
    """A server was away, slow or busy; trying again later is the right thing."""


class DataError(SvError):
    """One row or message cannot be converted. It goes to quarantine, and the rest go on."""


class ClosedError(SvError):
    """Work was asked for at a time at which its system may not be read; it is to be asked for again later."""
