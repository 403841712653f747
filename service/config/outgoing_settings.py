"""The settings of requests that the service sends: webhooks, remote encoders."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, SecretStr


class SettingsGroup(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WebhookSettings(SettingsGroup):
    """The webhooks of standing queries."""

    private: bool = Field(
        default=False, description="Let webhooks go to private addresses, and without TLS; by default, neither."
    )


class FollowSettings(SettingsGroup):
    """The source whose collections a service copies and serves."""

    source: str = Field(
        default="", description="Folder, or address s3://bucket/prefix, whose collections are copied and served."
    )
    seconds: PositiveFloat = Field(default=1.0, description="Seconds between looks for new generations.")
    endpoint: str = Field(default="", description="Address of the S3 API; empty: that of AWS.")
    region: str = Field(default="", description="Region of the bucket; empty: that of the environment.")


class RemoteSettings(SettingsGroup):
    """Encoders behind a URL."""

    allow: str = Field(
        default="",
        description="Origins, such as https://api.openai.com, that collections may name as their encoder, separated by "
        "commas; queries and the key go to no other.",
    )
    key: SecretStr | None = Field(default=None, description="Key for the allowed origins.")
    key_file: Path | None = Field(
        default=None, description="File with the key, or with lines of an origin and its key."
    )
