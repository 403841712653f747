"""The dashboard and the alerts use just the metrics that the service has."""

from __future__ import annotations

import json
import re

from tests.conftest import REPOSITORY
from tests.service.conftest import Served

MONITORING = REPOSITORY / "docs" / "monitoring"


def test_every_metric_that_is_shown_exists_and_every_one_that_exists_is_shown(small: Served) -> None:
    dashboard = json.loads((MONITORING / "grafana" / "attendex.json").read_text())
    shown = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    alerts = (MONITORING / "alerts.yml").read_text()
    exists = set(re.findall(r"^# TYPE (\S+) ", small.http.get("/metrics").text, re.MULTILINE))

    def named(text: str) -> set[str]:
        found = set(re.findall(r"(?:attendex|process)_\w+", text))
        return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}

    assert named(shown) <= exists
    assert named(alerts) <= exists
    created = {name for name in exists if name.endswith("_created")}
    assert exists - created - {"process_start_time_seconds"} <= named(shown)
