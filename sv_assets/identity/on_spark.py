"""Scoring on Spark: the same predictions as on DuckDB, by as many machines as Spark is given.

The records and pairs go to Spark, and its result comes back, as Parquet files in a folder. Spark runs on this machine with
what `engine` allows, unless its own configuration is there (`SPARK_HOME`, `SPARK_CONF_DIR` or `PYSPARK_SUBMIT_ARGS`, or the
process has a session already): then it runs where that says. Executors on other machines need the folder under the same
path, named by `spark.sv.folder`, and a Python with pyarrow and rapidfuzz.

Similarities are rapidfuzz's, as in DuckDB. Those in the jar that comes with Splink are not the same: Apache Commons' Jaro
and Winkler count half transpositions, which took 16 of 47,348 pairs of FEBRL 3 across a threshold, and were slower.
"""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from splink import Linker, SettingsCreator

from sv_assets.errors import ConfigurationError
from sv_assets.identity.model import Model
from sv_assets.identity.scoring import frequency_columns, narrow_columns, splink_settings
from sv_assets.identity.settings import Engine
from sv_assets.identity.workbench import Workbench

CONFIGURED_BY = ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")
"""Where one of these is set, Spark has a configuration of its own."""
FOLDER = "spark.sv.folder"
"""Names, in Spark's configuration, the folder that this machine and all executors see under the same path."""
_INSTEAD = "`engine.backend: duckdb` in the settings needs neither."


def predict_on_spark(bench: Workbench, model: Model, pairs: str, *, wide: bool, least: float | None) -> str:
    """What `scoring.predict` returns, made by Spark from the view `weighed` and the table `pairs`.

    Raises ConfigurationError where pyspark or Java is missing, or Spark does not start.
    """
    with _spark(bench.settings.engine) as spark, _folder(spark) as folder:
        _hand_over(bench, model, pairs, folder)
        _predict(spark, model, folder, wide=wide, least=least)
        predicted = f"predicted_{uuid.uuid4().hex}"
        bench.execute(
            f"create table {predicted} as select * from read_parquet({_quoted(folder / 'predicted' / '*.parquet')})"
        )
    return predicted


def _hand_over(bench: Workbench, model: Model, pairs: str, folder: Path) -> None:
    """Write the pairs, the records in them, and the share of each of their frequent values.

    Splink joins the shares to the records; Spark, other than DuckDB, then wants them in one of the two only.
    """

    def write(name: str, query: str) -> None:
        bench.execute(f"copy ({query}) to {_quoted(folder / f'{name}.parquet')} (format parquet)")

    columns = frequency_columns(model)
    without = f"exclude ({', '.join(f'tf_{column}' for column in columns)})" if columns else ""
    write("pairs", f"select '0' as match_key, l as join_key_l, r as join_key_r from {pairs}")
    write(
        "records", f"select * {without} from weighed where n in (select l from {pairs} union all select r from {pairs})"
    )
    for column in columns:
        write(column, f"select distinct {column}, tf_{column} from weighed where tf_{column} is not null")


def _predict(spark: Any, model: Model, folder: Path, *, wide: bool, least: float | None) -> None:
    from splink.backends.spark import SparkAPI

    api = SparkAPI(spark_session=spark, break_lineage_method="persist", register_udfs_automatically=False)  # type: ignore[no-untyped-call]

    def handed_over(name: str) -> Any:
        return spark.read.parquet((folder / f"{name}.parquet").as_uri())

    settings = SettingsCreator(**splink_settings(model, "spark", wide=wide))
    linker = Linker(api.register(handed_over("records")), settings, log_level=None, validate_settings=False)
    spread = handed_over("pairs").repartition(int(spark.conf.get("spark.sql.shuffle.partitions")))
    linker.table_management.register_blocked_pairs_for_predict(api.register(spread))
    for column in frequency_columns(model):
        linker.table_management.register_term_frequency_lookup(api.register(handed_over(column)), column)
    predicted = linker.inference.predict(threshold_match_weight=least, warning_mode="never")
    table = spark.table(predicted.physical_name)
    (table if wide else table.select(narrow_columns(model))).write.parquet((folder / "predicted").as_uri())


@contextmanager
def _spark(engine: Engine) -> Iterator[Any]:
    """A Spark session of our own, which knows the similarities; nothing of it stays in memory afterwards."""
    try:
        from py4j.protocol import Py4JError  # type: ignore[import-not-found]
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
        from pyspark.sql.functions import arrow_udf
    except ImportError:
        raise ConfigurationError(
            f"Scoring on Spark needs pyspark 4.1 or later: `pip install 'sv-assets[spark]'`, and Java 17. {_INSTEAD}"
        ) from None
    builder = SparkSession.builder.appName("sv identity")
    if SparkSession.getActiveSession() is None:
        _check_java()
        if not any(os.environ.get(name) for name in CONFIGURED_BY):
            os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            builder = builder.config(map=_on_this_machine(engine))
    try:
        spark = builder.getOrCreate().newSession()
    except (PySparkException, Py4JError) as error:
        raise ConfigurationError(
            f"Spark did not start: {str(error).strip().splitlines()[0]} See what it printed, and whether Java is 17 or later."
            f" {_INSTEAD}"
        ) from error
    spark.conf.set("spark.sql.ansi.enabled", "false")  # the first of an empty list is NULL, as in DuckDB
    for name, similarity, returns in _similarities():
        spark.udf.register(name, arrow_udf(similarity, returns))
    try:
        yield spark
    finally:
        for view in spark.catalog.listTables():
            if view.isTemporary:
                spark.table(view.name).unpersist()
                spark.catalog.dropTempView(view.name)


def _on_this_machine(engine: Engine) -> dict[str, str]:
    memory = engine.memory.replace(" ", "").rstrip("iB").lower()
    return {
        "spark.master": f"local[{engine.threads}]",
        "spark.driver.memory": memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(4 * engine.threads),
        "spark.sql.warehouse.dir": Path(tempfile.gettempdir(), "sv-spark-warehouse").as_uri(),
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if not (Path(home, "bin", "java").exists() if home else shutil.which("java")):
        where = "JAVA_HOME names a folder without bin/java" if home else "there is no java on the PATH"
        raise ConfigurationError(
            f"Scoring on Spark needs Java 17, and {where}: install it (`apt-get install openjdk-17-jre-headless`). {_INSTEAD}"
        )


@contextmanager
def _folder(spark: Any) -> Iterator[Path]:
    shared = spark.conf.get(FOLDER, None)
    master = spark.sparkContext.master
    if shared is None and not master.startswith("local"):
        raise ConfigurationError(
            f"Spark runs on {master}: set {FOLDER} in its configuration to a folder that this machine and all executors see"
            " under the same path, on a network drive for instance."
        )
    if shared is not None and not Path(shared).is_dir():
        raise ConfigurationError(f"{FOLDER} in Spark's configuration is {shared}, which is no folder on this machine.")
    with tempfile.TemporaryDirectory(prefix="sv-spark-", dir=shared) as folder:
        yield Path(folder).resolve()


def _similarities() -> Iterator[tuple[str, Any, str]]:
    """The functions that `comparisons.SPARK` names, over columns.

    They are made in here so that Spark sends them whole, and executors need not have this package.
    """
    from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

    def over_columns(measure: Any, name: str, returns: Any) -> Any:
        def measured(left: pa.Array, right: pa.Array) -> pa.Array:
            of = getattr(measure, name)
            both = zip(left.to_pylist(), right.to_pylist(), strict=True)
            return pa.array([None if a is None or b is None else of(a, b) for a, b in both], returns)

        return measured

    yield "jaro_winkler", over_columns(JaroWinkler, "similarity", pa.float64()), "double"
    yield "damerau_levenshtein", over_columns(DamerauLevenshtein, "distance", pa.int32()), "int"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
