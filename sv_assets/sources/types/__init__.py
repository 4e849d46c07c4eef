"""How each SQL Server type lands in MongoDB: exactly, by the one table in `types.table`."""

from sv_assets.sources.types.column import Column
from sv_assets.sources.types.moments import local_text, offset_text
from sv_assets.sources.types.plain import Converter, Marked
from sv_assets.sources.types.table import OTHER, TYPES, SqlType, converter, sql_type, types_as_markdown

__all__ = [
    "OTHER",
    "TYPES",
    "Column",
    "Converter",
    "Marked",
    "SqlType",
    "converter",
    "local_text",
    "offset_text",
    "sql_type",
    "types_as_markdown",
]
