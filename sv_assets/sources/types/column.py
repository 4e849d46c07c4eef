"""A column of a legacy table, typed as SQL Server names it."""

import re
from dataclasses import dataclass

_DECLARED = re.compile(
    r"\s*([A-Za-z_]\w*(?:\s+[A-Za-z_]\w*)*)\s*(?:\(\s*(\d+|max)\s*(?:,\s*(\d+)\s*)?\))?\s*", re.IGNORECASE | re.ASCII
)
_UP_TO_MAX = ("varchar", "nvarchar", "varbinary")
_WITH_LENGTH = ("char", "nchar", "binary", "vector", *_UP_TO_MAX)
_WITH_DIGITS = ("time", "datetime2", "datetimeoffset")
_WITH_SCALE = ("decimal", "numeric")
_LARGE = ("text", "ntext", "image", "xml", "json", "geography", "geometry", "blob", "clob")
_SMALL = frozenset((
    "bit", "boolean", "bool", "tinyint", "smallint", "int", "integer", "bigint", "decimal", "numeric", "dec", "money",
    "smallmoney", "float", "real", "double", "double precision", "date", "time", "datetime", "datetime2", "smalldatetime",
    "datetimeoffset", "char", "nchar", "binary", "uniqueidentifier", "rowversion", "timestamp", "sysname", "hierarchyid",
    "sql_variant", "vector",
))  # fmt: skip
_CASE_SENSITIVE = re.compile(r"_CS(_|$)|_BIN2?(_|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of a legacy table.

    `precision` is the digits of a decimal, the length of text and binary (-1 or None: max), or the digits after the
    second of a time. `collation` and `computed` are as the database says; SQLite says neither.
    """

    name: str
    type_name: str
    precision: int | None = None
    scale: int | None = None
    nullable: bool = True
    collation: str | None = None
    computed: bool = False

    @staticmethod
    def declared(name: str, declaration: str, nullable: bool = True) -> "Column":
        """From a declaration such as `DECIMAL(19,4)` or `NVARCHAR(MAX)`. Without a type it is a sql_variant."""
        match = _DECLARED.fullmatch(declaration)
        if match is None:
            return Column(name, "sql_variant", nullable=nullable)
        type_name, size, scale = match.groups()
        precision = int(size) if size and size.isdigit() else None
        return Column(name, " ".join(type_name.lower().split()), precision, int(scale) if scale else None, nullable)

    @property
    def declaration(self) -> str:
        """The type as T-SQL writes it: `decimal(19,4)`, `nvarchar(max)`, `datetime2(7)`, `int`."""
        name, size = self.type_name, self.precision
        if name in _WITH_LENGTH:
            length = "max" if size is None or size < 0 else str(size)
            return name if length == "max" and name not in _UP_TO_MAX else f"{name}({length})"
        if name in _WITH_DIGITS:
            return f"{name}({7 if size is None else size})"
        if name in _WITH_SCALE and size is not None:
            return f"{name}({size},{self.scale or 0})"
        return name

    @property
    def is_large(self) -> bool:
        """Values may be far larger than a row's 8,060 bytes (max types, text, xml …; also types that we do not know)."""
        if self.type_name in _UP_TO_MAX:
            return self.precision is None or self.precision < 0
        return self.type_name in _LARGE or (self.type_name not in _SMALL and (self.precision or 0) <= 0)

    @property
    def is_case_sensitive(self) -> bool:
        """By the collation's name (Microsoft, "Windows collation name"). Unknown: no, as SQL Server's default."""
        return self.collation is not None and _CASE_SENSITIVE.search(self.collation) is not None
