"""What a database said when it failed, in one sentence of ours: a passing fault, or something to put right."""

import re

from sqlalchemy import exc

from sv_assets import settings
from sv_assets.errors import ConfigurationError, SvError, TransientError

_PASSING_STATES = ("08", "HYT", "40001", "40P01", "57P0")
_PASSING_NUMBERS = {
    "1205",  # chosen as the victim of a deadlock
    "1222",  # lock time-out
    "3960",  # snapshot transaction aborted
    "10053", "10054", "10060", "10928", "10929", "40197", "40501", "40613", "49918", "49919", "49920",  # Azure SQL
}  # fmt: skip
"""Microsoft, "Database Engine events and errors" and "Troubleshoot transient connection errors"."""
_NUMBER = re.compile(r"\((-?\d+)\) \(SQL")
_PASSING_WORDS = ("is locked", "communication link", "terminating connection", "connection is closed", "deadlock")
_REFUSED_LOG_IN = {"18456", "18452", "4060", "18470"}


def explained(system: str, error: exc.SQLAlchemyError) -> SvError:
    """The error to raise in place of a driver's. Its words are kept, its secrets and values are not."""
    origin = getattr(error, "orig", None)
    state = str(origin.args[0]) if origin is not None and origin.args else ""
    words = settings.masked(str(origin or error)).splitlines()[0][:300]
    number = match.group(1) if (match := _NUMBER.search(words)) else ""
    if isinstance(error, exc.DataError):  # its words quote the value
        words = type(error).__name__
    if number in _REFUSED_LOG_IN or state == "28000":
        return ConfigurationError(
            f"system {system}: the database refuses our log-in (error {number or state}). Check the user, the password and "
            "the database in its connection with `sv doctor`."
        )
    passing = (
        isinstance(error, (exc.TimeoutError, exc.DisconnectionError))
        or state.startswith(_PASSING_STATES)
        or number in _PASSING_NUMBERS
        or getattr(error, "connection_invalidated", False)
        or any(word in words.lower() for word in _PASSING_WORDS)
    )
    if passing:
        return TransientError(
            f"system {system}: the database does not answer ({words}). Check its connection with `sv doctor`."
        )
    return ConfigurationError(
        f"system {system}: the database refuses ({words}). Check its connection with `sv doctor`."
    )
