"""The setting `processes`: a number within bounds, or auto."""

import pytest

from retrieval.errors import SettingsError
from service.config.settings import load_settings


@pytest.mark.parametrize(("value", "processes"), [("1", 1), (2, 2), ("256", 256)])
def test_a_number_is_taken(value: object, processes: int) -> None:
    assert load_settings({"processes": value}).worker_processes == processes


def test_auto_gives_at_least_one_process() -> None:
    assert load_settings({"processes": "auto"}).worker_processes >= 1


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "100000", "9" * 5_000, True])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(SettingsError, match=r"processes: .* is not a number from 1 to 256, nor auto"):
        load_settings({"processes": value})
