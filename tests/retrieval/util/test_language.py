"""Languages by script and small words; no result without evidence."""

from __future__ import annotations

import pytest

from retrieval.util.language import language_of


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The index is a directory that holds all of the passages, and it can be read while it is written to."),
        ("de", "Der Index ist ein Verzeichnis, das alle Abschnitte enthält, und er wird nicht von anderen verändert."),
        ("fr", "Le dossier contient tous les passages de la collection, et il est lu par le service qui répond."),
        ("es", "El índice es un directorio que contiene todos los pasajes de la colección y se lee por el servicio."),
        (
            "sv",
            "Det är en katalog som inte är till för att ändras, och den har alla texter som vi kan söka i på svenska.",
        ),
        ("ru", "Это каталог, в котором хранится весь текст, и он не изменяется, когда его читают, но он был создан."),
        ("zh", "自然人从事工商业经营，经依法登记，为个体工商户。" * 5),
        ("ja", "これは検索のための文書です。日本語で書かれています。" * 4),
        ("ar", "تعتبر البرمجة من الأدوات القوية التي يمكن أن تساعد في إيجاد حلول فعالة على أن يكون هذا من كل ما سبق"),
        (
            "",
            "def f(x):\n    return x + 1\n\nclass A:\n    y = 3\n    z = f(y) * f(y) - 17 * 3\n    w = z // 4 + 5 - 6",
        ),
        ("", "Too short."),
        ("", "Lorem ipsum dolor sit amet consetetur sadipscing elitr sed diam nonumy eirmod tempor invidunt labore"),
    ],
)
def test_language(language: str, text: str) -> None:
    assert language_of(text) == language
