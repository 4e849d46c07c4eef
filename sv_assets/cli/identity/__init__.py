"""`sv identity`: who is who, why, what humans decide about it, and how good it is."""

import typer

from sv_assets.cli.identity import applying, deciding, explaining, looking
from sv_assets.cli.identity.evaluate import evaluate

app = typer.Typer(no_args_is_help=True, help="Who is who: which records are one person, why, and how good that is.")
app.command("status")(looking.status)
app.command("explain")(explaining.explain)
app.command("review")(looking.review)
app.command("merge")(deciding.merge)
app.command("split")(deciding.split)
app.command("undo")(deciding.undo)
app.command("decisions")(deciding.decisions)
app.command("models")(applying.models)
app.command("train")(applying.train)
app.command("rerun")(applying.rerun)
app.command("evaluate")(evaluate)
