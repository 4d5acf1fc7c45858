"""enroll db: migrate."""

from pathlib import Path

import typer

from enroll.failures import NotFound
from registry.engine import SQLITE, normal_url
from registry.engine import migrate as bring_up_to_date
from server.cli.office import current_home
from server.cli.output import say
from server.config.load import load_config

app = typer.Typer(no_args_is_help=True, help="The database: bring it to this version's schema.")


@app.callback()
def group() -> None:
    """Keep `migrate` a word of its own while it is the only one."""


@app.command()
def migrate(context: typer.Context) -> None:
    """Bring the database to the schema of this version; stop the server and back it up before."""
    home = current_home(context)
    config = load_config(home.configuration)
    url = home.database_url(config.database.url.get_secret_value())
    location = normal_url(url)
    if location.get_backend_name() == SQLITE and not Path(location.database or "").is_file():
        # Making one here would hide that devices, certificates and audit log are lost.
        raise NotFound(f"there is no database at {location.database}; restore a backup")
    bring_up_to_date(url)
    say("The database has the schema of this version.")
