"""`attendex calibrate`: measure the cosines by which hybrid search scales meaning."""

from __future__ import annotations

from dataclasses import asdict

from retrieval.commands.options import CollectionArgument
from retrieval.util.terminal import JsonOption, print_json, reports_errors, stdout


@reports_errors
def calibrate(collection: CollectionArgument, as_json: JsonOption = False) -> None:
    """Measure the cosines of unrelated texts, by which hybrid search scales meaning.

    Indexing does this by itself.  A collection made by an earlier version ranks as before until this command runs or
    until its next change.  The result is a new generation; `attendex rollback` goes back.

    Examples:

      attendex calibrate papers
    """
    from indexer.writing.calibration import calibrate as calibrate_collection
    from retrieval.encoder.loading import load_recorded_encoder
    from retrieval.index.storage.manifest import read_manifest
    from retrieval.search.encoder_check import check_fingerprint

    made_by = read_manifest(collection).encoder
    encoder = load_recorded_encoder(made_by, bulk=True)
    check_fingerprint(str(collection), made_by, encoder.fingerprint)
    manifest = calibrate_collection(collection, encoder)
    background = manifest.background
    if as_json:
        print_json({"generation": manifest.generation, "background": background and asdict(background)})
    elif background is None:
        stdout().print("the passages have too little text to calibrate; hybrid search ranks as before")
    else:
        stdout().print(
            f"cosines of unrelated texts: mean {background.mean:.3f}, deviation {background.deviation:.3f}; "
            f"generation {manifest.generation}"
        )
