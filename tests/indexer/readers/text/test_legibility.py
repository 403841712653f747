"""Text of languages is accepted; glyph codes, wrong letters and spaced words are found."""

from __future__ import annotations

import random
import string

import pytest

from indexer.readers.text.legibility import is_spaced_out, join_spaced_wide, known_text, problem_of

TEXTS = [
    "The gauge at the mill is read at noon, and the keeper writes the height into the log before he opens the gate.",
    "Hladina u mlýna stoupla o čtyři coule. Správce zapíše výšku vody do knihy dříve, než otevře stavidlo.",
    "Der Pegel an der Mühle wird mittags abgelesen; der Wärter schreibt die Höhe ins Buch, bevor er das Wehr öffnet.",
    "Mittarin lukema kirjataan puolenpäivän aikaan, ja vartija avaa portin vasta sen jälkeen kun vesi on noussut.",
    "Mực nước ở cối xay được đọc vào buổi trưa, và người gác ghi chiều cao vào sổ trước khi mở cửa đập.",
    "Уровень воды у мельницы записывают в полдень, и сторож вносит высоту в журнал, прежде чем открыть затвор.",
    "每天中午由管理员在磨坊旁边读取水位计的数据，并在开闸之前把水位高度写进记录簿，通知下游的所有船只。",
    "毎日正午に管理人が水車小屋のそばで水位計を読み、水門を開ける前に水位を帳簿に書き込む。船には知らせる。",
    "每天中午由管理員在磨坊旁邊讀取水位計的數據，並在開閘之前把水位高度寫進記錄簿，通知下游的所有船隻。",
    "수위는 매일 정오에 방앗간 옆에서 읽고, 관리인은 수문을 열기 전에 높이를 장부에 적는다.",
    "يُقرأ مقياس الماء عند الطاحونة في الظهر، ويكتب الحارس الارتفاع في الدفتر قبل أن يفتح البوابة.",
    "KX-200 12.50\nKX-300 14.00\nZX-90 7.25\nQV-12 3.10\nM8x40 0.12\nDIN 934 0.03",
    "a b c d e f g h i j",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_accepted(text: str) -> None:
    assert problem_of(text) == ""
    assert problem_of(text * 40) in ("", "words set letter by letter")
    assert known_text(text) == text


def test_wrong_letters_are_found() -> None:
    chance = random.Random(1)
    found = 0
    for _ in range(50):
        letters = list(string.ascii_lowercase)
        chance.shuffle(letters)
        wrong = str.maketrans(string.ascii_lowercase, "".join(letters))
        found += bool(problem_of((TEXTS[0] + TEXTS[2]).lower().translate(wrong)))
    assert found >= 45
    assert problem_of("".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(60)))
    shifted = "".join(chr(ord(letter) - 29) if letter.isascii() and letter > "=" else letter for letter in TEXTS[0])
    assert problem_of(shifted) == "letters that make no words"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(cid:55)(cid:75)(cid:72) (cid:74)(cid:68)(cid:88)(cid:74)(cid:72) " * 3, "codes of glyphs"),
        ("/g3/g8/g6/g1/g7/g4 /g17/g7/g6/g1/g4/g16 /g1/g16", "codes of glyphs"),
        ("\ue001\ue002\ue003 \ue004\ue005 \ue006\ue007\ue008\ue009\ue00a\ue00b\ue00c", "signs that are no characters"),
        ("\ufffd\ufffd\ufffd la \ufffd\ufffd\ufffd\ufffd \ufffd\ufffd de", "signs that are no characters"),
        ("W a t e r l e v e l s o f t h e r i v e r T a r n", "letter by letter"),
    ],
)
def test_what_is_no_text(text: str, reason: str) -> None:
    assert reason in problem_of(text)
    assert known_text(text) == (text if "letter" in reason else "")


def test_spaced_characters_are_joined() -> None:
    assert join_spaced_wide("水 位 报 告 ： 五 月\nTarn 的 水位 很 高") == "水位报告：五月\nTarn 的 水位 很 高"
    assert join_spaced_wide("방앗간 옆 에 서") == "방앗간 옆 에 서"


def test_the_dots_of_a_table_of_contents_are_no_spaced_letters() -> None:
    assert not is_spaced_out(f"Notices {'. ' * 40}vii".split())
    assert is_spaced_out(list("Nochanges"[:9] + "since2019"))
