"""The workbench: the records in work as DuckDB tables, the blocks they form, and the pairs that are worth comparing.

| table      | columns                                                                                     |
|------------|---------------------------------------------------------------------------------------------|
| record     | `n` (its number), `form` (hash of the compared form), `identical` (see below), `initials`,  |
|            | one column a field of the compared form, NULL where it has no value                         |
| name_of    | `n`, `id`: the id of each record                                                            |
| key        | `k` (hash of a blocking key), `rule` (its number), `n`                                      |
| dead_key   | `k`, `rule`, `records`, `n`, `spare`: keys that too many records share, with one of those;   |
|            | how many of them can go, or come to say the same as another, before it might come alive      |
| dead_value | `field`, `value`: e-mails, phones and identifiers that are no evidence                      |
| pair       | `l`, `r`: numbers of records, `l < r`                                                       |
| named      | `id`, `target`: records that name another one as the same person (see `name`)               |
| quoted     | `id`, `target`: records that name an order, and who placed it (see `quote`)                  |

`identical` is `form` where two records with this form must be one person, else NULL: those need no comparison.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from sv_assets.identity.blocking import SAME_FORM, keys_of
from sv_assets.identity.compared import LISTS, SCALARS, is_mobile, is_more_than_a_name
from sv_assets.identity.settings import IdentitySettings
from sv_assets.mongo import Document, content_hash

if TYPE_CHECKING:
    import duckdb

CONTACTS = ("emails", "mobiles", "lines")


class Prepared(NamedTuple):
    """One record, ready for the workbench."""

    id: str
    form: Document
    keys: list[str]


def prepare(record_id: str, form: Document, settings: IdentitySettings) -> Prepared:
    return Prepared(record_id, form, keys_of(form, settings))


def form_hash(form: Document) -> int:
    """What two records have in common that say the very same: 63 bits."""
    return int(content_hash(form)[:16], 16) >> 1


def as_table(records: Iterable[Prepared], first_number: int, identifiers: Iterable[str]) -> pa.Table:
    """The records as an Arrow table: the columns of `record`, `id`, and `keys`."""
    records = list(records)
    forms = [record.form for record in records]
    hashes = [form_hash(form) for form in forms]
    text, texts = pa.string(), pa.list_(pa.string())
    columns: dict[str, Any] = {
        "n": pa.array(range(first_number, first_number + len(records)), pa.int64()),
        "id": pa.array([record.id for record in records], text),
        "form": pa.array(hashes, pa.int64()),
        "identical": pa.array(
            [h if is_more_than_a_name(f) else None for h, f in zip(hashes, forms, strict=True)], pa.int64()
        ),
        "initials": pa.array([initials_of(form) for form in forms], text),
        "given_or_others": pa.array(
            [[*form.get("given", ()), *form.get("others", ())] or None for form in forms], texts
        ),
        "keys": pa.array([record.keys for record in records], texts),
    }
    for name in SCALARS:
        columns[name] = pa.array([form.get(name) for form in forms], text)
    for name in LISTS:
        columns[name] = pa.array([form.get(name) for form in forms], texts)
    for name in identifiers:
        columns[f"id_{name}"] = pa.array([form.get("ids", {}).get(name) for form in forms], texts)
    return pa.table(columns)


@contextmanager
def open_workbench(settings: IdentitySettings, identifiers: Iterable[str]) -> Iterator["Workbench"]:
    """A workbench in memory, which spills into a temporary folder that goes away with it."""
    with tempfile.TemporaryDirectory(prefix="sv-identity-") as folder:
        import duckdb

        connection = duckdb.connect()
        try:
            connection.execute(f"set memory_limit = '{settings.engine.memory}'")
            connection.execute(f"set threads = {settings.engine.threads}")
            connection.execute("set preserve_insertion_order = false")
            connection.execute("set temp_directory = ?", [folder])
            yield Workbench(connection, settings, sorted(identifiers))
        finally:
            connection.close()


class Workbench:
    """The tables above. Records are added in portions; then the blocks are judged, and pairs are made."""

    def __init__(
        self, connection: "duckdb.DuckDBPyConnection", settings: IdentitySettings, identifiers: list[str]
    ) -> None:
        self.connection = connection
        self.settings = settings
        self.identifiers = identifiers
        self.records = 0
        scalars = ", ".join(f"{name} varchar" for name in (*SCALARS, "initials"))
        lists = ", ".join(f"{name} varchar[]" for name in (*LISTS, "given_or_others", *self.id_columns))
        self.execute(f"create table record (n bigint, form bigint, identical bigint, {scalars}, {lists})")
        self.execute("create table name_of (n bigint, id varchar)")
        self.execute("create table key (k ubigint, rule utinyint, n bigint)")
        self.execute("create table dead_key (k ubigint, rule utinyint, records bigint, n bigint, spare bigint)")
        self.execute("create table dead_value (field varchar, value varchar)")
        self.execute("create table pair (l bigint, r bigint)")
        self.execute("create table named (id varchar, target varchar)")
        self.execute("create table quoted (id varchar, target varchar)")

    @property
    def id_columns(self) -> list[str]:
        return [f"id_{name}" for name in self.identifiers]

    @property
    def contacts(self) -> list[str]:
        """The columns with values that should belong to one person, or to one household."""
        return [*CONTACTS, *self.id_columns]

    def execute(self, sql: str, parameters: Any = None) -> "duckdb.DuckDBPyConnection":
        return self.connection.execute(sql, parameters) if parameters is not None else self.connection.execute(sql)

    def one(self, sql: str) -> Any:
        """The first value of the first row."""
        rows = self.execute(sql).fetchall()
        return rows[0][0] if rows else None

    @contextmanager
    def arriving(self, table: pa.Table) -> Iterator[None]:
        """Let statements read a table that is not DuckDB's, as `arriving`."""
        self.connection.register("arriving", table)
        try:
            yield
        finally:
            self.connection.unregister("arriving")

    def add(self, records: Iterable[Prepared]) -> None:
        """Put records on the workbench."""
        self.add_table(as_table(records, self.records, self.identifiers))

    def add_table(self, table: pa.Table) -> None:
        """The same for records that are a table already (see `as_table`); their numbers follow those that are there."""
        columns = ", ".join(["form", "identical", *SCALARS, "initials", *LISTS, "given_or_others", *self.id_columns])
        with self.arriving(table):
            self.execute(f"insert into record (n, {columns}) select n, {columns} from arriving")
            self.execute("insert into name_of select n, id from arriving")
            self.execute(
                "insert into key select hash(key), split_part(key, ':', 1)::utinyint, n"
                " from (select unnest(keys) as key, n from arriving)"
            )
        self.records += table.num_rows

    def name(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Say of each pair of ids that the first record names the second one as the same person."""
        self._add_pairs("named", pairs)

    def quote(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Say of each pair of ids that the first record names an order that the second one placed."""
        self._add_pairs("quoted", pairs)

    def _add_pairs(self, table: str, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = list(pairs)
        columns = {
            name: pa.array([pair[at] for pair in pairs], pa.string()) for at, name in enumerate(("id", "target"))
        }
        with self.arriving(pa.table(columns)):
            self.execute(f"insert into {table} select distinct id, target from arriving")

    def judge_blocks(self) -> None:
        """Fill `dead_key` and `dead_value`: what is shared by too many of the records that are all there.

        A block is alive with at most `at_most` different records (and `SAME_FORM` times as many in all). An e-mail, phone
        or identifier is dead with its block, or when people of more than `fan_out` different initials use it.
        """
        limits = ", ".join(str(rule.at_most) for rule in self.settings.blocking)
        self.execute(
            f"""
            create temp table large as
            select k, rule, count(*) as records, [{limits}][rule + 1] as at_most from key
            group by k, rule having records > at_most
            """
        )
        self.execute(
            f"""
            insert into dead_key
            select k, rule, any_value(records), any_value(n), any_value(records - {SAME_FORM} * at_most) - 1
            from large join key using (k, rule) where records > {SAME_FORM} * at_most group by k, rule
            union all
            select k, rule, any_value(records), any_value(n), count(distinct form) - any_value(at_most) - 1
            from large join key using (k, rule) join record using (n)
            where records <= {SAME_FORM} * at_most
            group by k, rule having count(distinct form) > any_value(at_most)
            """
        )
        self.execute("drop table large")
        for column in self.contacts:
            self._judge_values(column)
        self._bury()

    def _judge_values(self, column: str) -> None:
        part, prefix = (
            ("email", "")
            if column == "emails"
            else ("phone", "")
            if column in CONTACTS
            else ("identifier", f"{column[3:]}=")
        )
        number = next(n for n, rule in enumerate(self.settings.blocking) if rule.same == [part])
        limit = self.settings.blocking[number].at_most
        key = f"hash('{number}:' || '{prefix}' || value)"
        self.execute(
            f"""
            insert into dead_value
            select '{column}', value from (select unnest({column}) as value, initials from record)
            group by value
            having count(distinct initials) > {self.settings.guards.fan_out}
                or (count(*) > {limit} and {key} in (select k from dead_key))
            """
        )

    def bury(self, values: Iterable[str]) -> None:
        """Declare values (`<column>:<value>`) dead that others have judged; keys that are dead have not been added at all."""
        split = [value.partition(":") for value in values]
        table = pa.table(
            {
                "field": pa.array([s[0] for s in split], pa.string()),
                "value": pa.array([s[2] for s in split], pa.string()),
            }
        )
        with self.arriving(table):
            self.execute("insert into dead_value select * from arriving")
        self._bury()

    def _bury(self) -> None:
        """Take dead values out of the records, and dead keys out of the keys."""
        for column in self.contacts:
            if not self.one(f"select count(*) from dead_value where field = '{column}'"):
                continue
            for name in [column, "folded"] if column == "emails" else [column]:
                self.execute(
                    f"""
                    create temp table kept as
                    with dead as (select distinct value from dead_value where field = '{column}'),
                         has as (select n, unnest({name}) as value, generate_subscripts({name}, 1) as place from record),
                         concerned as (select distinct n from has semi join dead using (value))
                    select n, list(value order by place) as alive
                    from concerned left join (select * from has anti join dead using (value)) using (n)
                    group by n
                    """
                )
                self.execute(
                    f"update record set {name} = list_filter(alive, lambda v: v is not null) from kept where record.n = kept.n"
                )
                self.execute(f"update record set {name} = null where {name} = []")
                self.execute("drop table kept")
        # As `is_more_than_a_name` says of what is left.
        own = " or ".join(f"{column} is not null" for column in ("emails", "mobiles", *self.id_columns))
        named = (
            "first is not null and last is not null and (born is not null or lines is not null or homes is not null)"
        )
        self.execute(f"update record set identical = null where identical is not null and not ({own} or ({named}))")
        if self.one("select count(*) from dead_key"):
            self.execute("create temp table live as select key.* from key anti join dead_key using (k)")
            self.execute("drop table key")
            self.execute("create table key as select * from live")
            self.execute("drop table live")

    def make_pairs_of(self, table: str) -> int:
        """Fill `pair` with the records of `table` (column `n`) that share a live key. Returns how many."""
        return self._make_pairs(f"semi join {table} using (n)", "")

    def make_pairs(self, touched: Iterable[int] | None = None) -> int:
        """Fill `pair` with the records that share a live key: all, or those with one of the `touched`. Returns how many."""
        condition = ""
        if touched is not None:
            with self.arriving(pa.table({"n": pa.array(sorted(touched), pa.int64())})):
                self.execute("create or replace temp table touched as select n from arriving")
            condition = "where x.n in (select n from touched) or y.n in (select n from touched)"
        return self._make_pairs("", condition)

    def _make_pairs(self, members: str, condition: str) -> int:
        self.execute(
            f"""
            create or replace table pair as
            with chosen as (select k, n from key {members}),
                 shared as (select k from chosen group by k having count(*) > 1),
                 member as (select k, n, identical from chosen semi join shared using (k) join record using (n))
            select distinct x.n as l, y.n as r
            from member x join member y on x.k = y.k and x.n < y.n and coalesce(x.identical <> y.identical, true)
            {condition}
            """
        )
        return int(self.one("select count(*) from pair"))


def initials_of(form: Document) -> str | None:
    """The first letters of first name and surname: what tells the users of one telephone apart."""
    return "".join(sorted(name[0] for name in (form.get("first"), form.get("last")) if name)) or None


def value_of(key: str, settings: IdentitySettings) -> str | None:
    """The e-mail, phone or identifier that a key is all about, as `<column>:<value>`; None for other keys."""
    number, _, value = key.partition(":")
    parts = settings.blocking[int(number)].same
    if parts == ["email"]:
        return f"emails:{value}"
    if parts == ["phone"]:
        return f"{'mobiles' if is_mobile(value) else 'lines'}:{value}"
    if parts == ["identifier"]:
        name, _, value = value.partition("=")
        return f"id_{name}:{value}"
    return None
