"""The settings of uploads and jobs."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from service.config.outgoing_settings import SettingsGroup


class UploadSettings(SettingsGroup):
    """Uploads of files, and the originals that are kept."""

    bytes: PositiveInt = Field(default=512 << 20, description="Maximum size of one request that uploads files.")
    files: PositiveInt = Field(
        default=1_000, le=10_000, description="Maximum number of files of one request that uploads files."
    )
    requests: PositiveInt = Field(default=8, description="Maximum number of uploads that are received at once.")
    disk_bytes: PositiveInt = Field(
        default=4 << 30, description="Maximum disk space of all uploads that are received or wait; more get 429."
    )
    keep: bool = Field(
        default=False, description="Keep the original of each uploaded file, unless the request says otherwise."
    )
    kept_bytes: PositiveInt = Field(
        default=10 << 30, description="Maximum disk space of the originals of one collection."
    )


class JobSettings(SettingsGroup):
    """How long finished jobs are remembered."""

    kept: PositiveInt = Field(
        default=1_000, le=10_000, description="Number of finished jobs that each collection remembers."
    )
    days: PositiveInt = Field(default=30, le=3_650, description="Days for which a finished job is remembered.")
