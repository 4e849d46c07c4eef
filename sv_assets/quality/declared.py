"""The checks that an analyst declares beside a table or queue, held against what has landed of it."""

import datetime as dt
import importlib
import re
from typing import Any

import sqlalchemy as sa
from bson import Decimal128
from pymongo.errors import OperationFailure

from sv_assets.catalogue import checks as declared
from sv_assets.catalogue.checks import DeclaredCheck
from sv_assets.errors import ConfigurationError
from sv_assets.landing.documents import reference_value
from sv_assets.mongo import Document, in_batches
from sv_assets.quality.result import Result
from sv_assets.quality.subject import LIVE, Subject, value_at
from sv_assets.sources.database import LegacyDatabase


def evaluate(subject: Subject, check: DeclaredCheck, database: LegacyDatabase | None = None) -> Result:
    """Hold one declared check against the landed rows (`sql`: against the source).

    Raises ConfigurationError for one that cannot be evaluated: a filter that MongoDB refuses, a query that fails, a
    schema that cannot be imported.
    """
    try:
        passed, sentence, figures = _evaluate(subject, check, database)
    except OperationFailure as error:
        raise ConfigurationError(
            f"{subject.source.declared_at}{subject.source.key}, checks, {check.title}: MongoDB refuses its filter (code "
            f"{error.code}). Correct `where` or `violating`."
        ) from None
    severity = "ERROR" if check.blocking or check.severity == "error" else "WARN"
    return Result(check.title, subject.asset, passed, sentence, figures, "ERROR" if severity == "ERROR" else "WARN")


Found = tuple[bool, str, dict[str, Any]]


def _evaluate(subject: Subject, check: DeclaredCheck, database: LegacyDatabase | None) -> Found:
    if isinstance(check, declared.Unique):
        return _unique(subject, check)
    if isinstance(check, declared.NotNull):
        return _not_null(subject, check)
    if isinstance(check, declared.AcceptedValues):
        return _values(subject, check, {"$in": check.values}, f"one of {len(check.values)} accepted values")
    if isinstance(check, declared.Range):
        return _values(subject, check, _bounds(check), f"within {check.min} and {check.max}")
    if isinstance(check, declared.Matches):
        # As a regular expression of ours and not of the server's, which knows another dialect.
        return _matches(subject, check)
    if isinstance(check, declared.References):
        return _references(subject, check)
    if isinstance(check, declared.RowCount):
        return _row_count(subject, check)
    if isinstance(check, declared.Mongo):
        return _violating(subject, check)
    if isinstance(check, declared.Sql):
        assert database is not None
        return _sql(subject, check, database)
    if isinstance(check, declared.Pandera):
        return _pandera(subject, check)
    raise AssertionError(f"{check.check} has its own audit")


def _live(subject: Subject, check: DeclaredCheck) -> Document:
    return {"$and": [LIVE, check.where]} if check.where else dict(LIVE)


def _unique(subject: Subject, check: declared.Unique) -> Found:
    fields = [subject.field(path) for path in check.columns]
    present: list[Document] = [{"$or": [{name: {"$nin": [None, ""]}} for name in fields]}]
    stages: list[Document] = [
        {"$match": {"$and": [_live(subject, check), *present]}},
        {"$group": {"_id": [f"${name}" for name in fields], "rows": {"$sum": 1}}},
        {"$match": {"rows": {"$gt": 1}}},
        {"$group": {"_id": None, "values": {"$sum": 1}, "rows": {"$sum": "$rows"}}},
    ]
    found = next(iter(subject.landed.aggregate(stages, allowDiskUse=True)), {"values": 0, "rows": 0})
    named = ", ".join(check.columns)
    sentence = f"{found['values']:,} values of {named} stand in more than one row, in {found['rows']:,} rows together."
    return found["values"] == 0, sentence, {"repeated_values": found["values"], "rows": found["rows"]}


def _not_null(subject: Subject, check: declared.NotNull) -> Found:
    total = subject.landed.count_documents(_live(subject, check))
    empty = {
        path: subject.landed.count_documents(
            {"$and": [_live(subject, check), {subject.field(path): {"$in": [None, ""]}}]}
        )
        for path in check.columns
    }
    least = (1 - check.at_least) * total + 1e-9
    passed = all(n <= least for n in empty.values())
    named = ", ".join(f"{path} in {n:,}" for path, n in empty.items())
    sentence = f"Of {total:,} rows, no value in: {named}; {check.at_least:.1%} must have one."
    return passed, sentence, {"rows": total, **{f"empty:{path}": n for path, n in empty.items()}}


def _values(subject: Subject, check: Any, fits: Document, what: str) -> Found:
    """Of the rows with a value, how many fit."""
    name = subject.field(check.column)
    has_value: Document = {name: {"$nin": [None, ""]}}
    total = subject.landed.count_documents({"$and": [_live(subject, check), has_value]})
    fitting = subject.landed.count_documents({"$and": [_live(subject, check), has_value, {name: fits}]})
    return _share(check, total, total - fitting, f"{check.column} is not {what}")


def _share(check: Any, total: int, wrong: int, what: str) -> Found:
    passed = wrong <= (1 - check.at_least) * total + 1e-9
    sentence = f"In {wrong:,} of {total:,} rows {what}; {check.at_least:.1%} must fit."
    return passed, sentence, {"rows": total, "violating": wrong}


def _bounds(check: declared.Range) -> Document:
    bounds = {"$gte": _bound(check.min), "$lte": _bound(check.max)}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _bound(value: Any) -> Any:
    """As it compares with what has landed: numbers with all numbers, days from their first moment on, in UTC."""
    if isinstance(value, float):
        return Decimal128(str(value))
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=dt.timezone.utc)
    return value


def _matches(subject: Subject, check: declared.Matches) -> Found:
    pattern, name = re.compile(check.pattern), subject.field(check.column)
    total = wrong = 0
    for row in _rows(subject, check, {name: 1}):
        value = value_at(row, name)
        if value is not None:
            total += 1
            wrong += not (isinstance(value, str) and pattern.fullmatch(value))
    return _share(check, total, wrong, f"{check.column} does not match {check.pattern}")


def _rows(subject: Subject, check: DeclaredCheck, projection: Document) -> Any:
    limit = subject.source.entry.expect.audit_rows
    return subject.landed.find(_live(subject, check), projection).limit(limit).batch_size(2000)


def _references(subject: Subject, check: declared.References) -> Found:
    target = subject.catalogue.find(check.system or subject.source.system, check.table)
    assert target is not None, "references are checked when the catalogue loads"
    name = subject.field(check.column)
    there = Subject(subject.store, subject.catalogue, target, subject.now)
    field = there.field(check.to_column) if check.to_column else "_id"
    counts: dict[Any, int] = {}
    for row in _rows(subject, check, {name: 1}):
        value = reference_value(subject.source, row, check.column)
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    known: set[Any] = set()
    for some in in_batches(counts):
        for document in there.landed.find({field: {"$in": some}}, {field: 1, "_sv.deleted": 1}):
            if not document["_sv"].get("deleted"):
                known.add(value_at(document, field))
    wrong = sum(n for value, n in counts.items() if value not in known)
    return _share(check, sum(counts.values()), wrong, f"{check.column} points to nothing in {target.key}")


def _row_count(subject: Subject, check: declared.RowCount) -> Found:
    rows = subject.landed.count_documents(_live(subject, check))
    passed = (check.min is None or rows >= check.min) and (check.max is None or rows <= check.max)
    limits = " and ".join(
        f"{word} {n:,}" for word, n in (("at least", check.min), ("at most", check.max)) if n is not None
    )
    return passed, f"{rows:,} rows have landed; {limits} are declared.", {"rows": rows}


def _violating(subject: Subject, check: declared.Mongo) -> Found:
    wrong = subject.landed.count_documents({"$and": [_live(subject, check), check.violating]})
    sentence = f"{wrong:,} landed rows violate it; {check.at_most:,} may."
    return wrong <= check.at_most, sentence, {"violating": wrong}


def _sql(subject: Subject, check: declared.Sql, database: LegacyDatabase) -> Found:
    def count(connection: sa.Connection) -> int:
        result = connection.execution_options(stream_results=True).execute(sa.text(check.query))
        rows = len(result.fetchmany(check.stop_after))
        result.close()
        return rows

    wrong = database.read(count)
    database.throttle.rest(wrong)
    more = " or more" if wrong == check.stop_after else ""
    sentence = (
        f"The query found {wrong:,}{more} violating rows in {subject.source.system}; {check.at_most:,} may be there."
    )
    return wrong <= check.at_most, sentence, {"violating": wrong, "stop_after": check.stop_after}


def _pandera(subject: Subject, check: declared.Pandera) -> Found:
    where = f"{subject.source.declared_at}{subject.source.key}, checks, {check.title}"
    try:
        import pandas
        from pandera.errors import SchemaErrors
    except ImportError:
        raise ConfigurationError(f"{where}: pandera is not installed: pip install 'sv-assets[pandera]'.") from None
    module, _, name = check.model.partition(":")
    try:
        schema = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"{where}: {check.model} cannot be imported ({type(error).__name__}).") from None
    landed = subject.landed.find(_live(subject, check)).limit(check.rows).batch_size(2000)
    top = "body" if subject.source.is_queue else None
    frame = pandas.DataFrame([_plain(row[top] if top else row) for row in landed])
    cases = 0
    broken: list[str] = []
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = len(error.failure_cases)
        broken = sorted({f"{c.column}: {c.check}" for c in error.failure_cases.itertuples()})
    sampled = len(frame) == check.rows
    sentence = f"{cases:,} failures in {len(frame):,} rows against {check.model}{': ' + '; '.join(broken[:5]) if broken else ''}."
    return cases == 0, sentence, {"rows": len(frame), "failures": cases, "sampled": sampled}


def _plain(row: Document) -> Document:
    """A row as a frame takes it: decimals of Python, and no bookkeeping."""
    return {
        name: value.to_decimal() if isinstance(value, Decimal128) else value
        for name, value in row.items()
        if name not in ("_id", "_sv")
    }
