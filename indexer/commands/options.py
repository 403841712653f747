"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CollectionArgument = Annotated[Path, typer.Argument(help="Directory of the collection.", show_default=False)]
WaitOption = Annotated[float, typer.Option(help="Seconds to wait for another writer to end.", min=0.0)]
