"""The only entry point: everything under `defs/`, with its connections."""

from pathlib import Path

import dagster as dg

from sv_assets.catalogue import load_catalogue
from sv_assets.components.loading import quick_loading
from sv_assets.resources import MongoResource


@dg.definitions
def defs() -> dg.Definitions:
    with quick_loading():
        load_catalogue()  # one clear sentence for a wrong declaration, before anything is built from it
        return dg.Definitions.merge(
            dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
            dg.Definitions(resources={"mongo": MongoResource()}, executor=dg.in_process_executor),
        )
