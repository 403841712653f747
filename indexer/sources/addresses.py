"""Secrets in the addresses of sources: refuse passwords, hide tokens."""

from __future__ import annotations

import re

HIDDEN = "***"
CREDENTIALS = re.compile(r"[a-z0-9+.-]+://[^/]*:[^/]*@", re.IGNORECASE)
PASSWORD_PARAMETER = re.compile(r"://.*[?&](?:ssl)?password=", re.IGNORECASE)
TOKEN = re.compile(r"^((?!imaps?:|postgres(?:ql)?:|git\+ssh:)[a-z0-9+.-]+://)[^/]*@", re.IGNORECASE)
TOKEN_PARAMETER = re.compile(
    r"([?&](?:[^=&#]*[_-])?(?:token|key|apikey|secret|sig|signature|auth)=)[^&#]*", re.IGNORECASE
)


def holds_password(address: str) -> bool:
    """Check whether an address holds a password, which the settings refuse."""
    return bool(CREDENTIALS.match(address) or PASSWORD_PARAMETER.search(address))


def shown_address(address: str) -> str:
    """Return an address for messages and records, without the tokens in it.

    Tokens stand as the user name of an HTTP address, or as a parameter such as `access_token`.  The user name of a mail
    box, of a database or of SSH is none.
    """
    if "://" not in address:  # a folder
        return address
    return TOKEN_PARAMETER.sub(rf"\1{HIDDEN}", TOKEN.sub(rf"\1{HIDDEN}@", address, count=1))
