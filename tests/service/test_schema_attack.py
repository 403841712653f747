"""The whole OpenAPI document, attacked by schemathesis as a stranger would."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.conftest import Serve

# 400 is how a well-formed request is refused whose filter, field or size does not fit the collection.
CONFIGURATION = """
[checks]
enabled = true
positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "429"]
# 413 is how a body of too many values is refused, before its lists are counted.
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429"]

[[operations]]  # whose dialect says 422 for all of this
include-path-regex = "^/(embed|embed_all|similarity|tokenize|rerank)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "413", "422", "429"]

[[operations]]  # an id may end so, and other methods change the document with this id
include-path-regex = "/(original|similar)$"
checks.unsupported_method.enabled = false

[[operations]]  # needs one of q, like and vector, which the parameters of an address cannot say
include-path-regex = "/search$"
include-method = "GET"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "401", "403", "404", "409", "413", "422", "429"]
"""


@pytest.mark.slow
def test_no_request_finds_a_server_error_or_an_undocumented_answer(
    collections: Path, tmp_path: Path, serve: Serve
) -> None:
    shutil.copytree(collections, tmp_path / "collections")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with serve(tmp_path / "collections") as served:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.url}/openapi.json", "--seed", "1"]
        options = [
            "--max-examples",
            "30",
            "--continue-on-failure",
            "--no-color",
            "--request-timeout",
            "60",
        ]
        phases = ["--phases", "examples,coverage,fuzzing"]
        done = subprocess.run([*command, *options, *phases], cwd=tmp_path, capture_output=True, text=True)
    report = done.stdout[-40_000:]
    assert done.returncode == 0, report
    found = re.search(r"([\d,]+) generated", report)
    assert found, report
    assert int(found[1].replace(",", "")) >= 2_000
