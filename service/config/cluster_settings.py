"""The settings of a service whose shards rank on a Ray cluster."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from service.config.outgoing_settings import SettingsGroup

MAX_REPLICAS = 16


class ClusterSettings(SettingsGroup):
    """Where the shards of sharded collections rank."""

    engine: Literal["local", "ray"] = Field(
        default="local", description="Where shards rank: in this process, or on a Ray cluster."
    )
    address: str = Field(
        default="", description="Address of the Ray cluster; empty: RAY_ADDRESS, or a new one on this machine."
    )
    replicas: PositiveInt = Field(default=1, le=MAX_REPLICAS, description="Processes for each shard, with Ray.")
