"""Redaction of the query log."""

from __future__ import annotations

import pytest

from retrieval.util.redaction import is_altered, redact, shortened

REDACTED = {
    "mail jane.doe+x@sub.example.co.uk now": "mail [email] now",
    "call (030) 123 45 67, please": "call [number], please",
    "+1-202-555-0143": "[number]",
    "card 4111111111111111": "card [number]",
    "ssn 078-05-1120": "ssn [number]",
    "iban DE89 3704 0044 0532 0130 00 ok": "iban [number] ok",
    "host 192.168.1.17": "host [address]",
    "host 2001:db8::8a2e:370:7334": "host [address]",
    "token sk_live_4eC39HqLyjWDarjtT1zdp7dc": "token [key]",
    "١٢٣٤٥٦٧٨": "[number]",
}


@pytest.mark.parametrize(("text", "expected"), REDACTED.items())
def test_personal_data_are_replaced(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert is_altered(expected)


@pytest.mark.parametrize(
    "text",
    [
        "SKU-00042",
        "iphone 15 pro 256 gb",
        "python 3.12.1",
        "world war 1939",
        "std::vector",
        "C# 12",
        "at 10:30:15 @ noon",
        "antidisestablishmentarianism-related",
        "electroencephalographically",
    ],
)
def test_words_and_short_numbers_stay(text: str) -> None:
    assert redact(text) == text
    assert not is_altered(text)


def test_long_texts_are_cut() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
    assert is_altered(shortened("abcdefg", 6))
