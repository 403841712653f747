"""Mails: headers and bodies in any encoding, attachments and forwarded mails."""

from __future__ import annotations

import base64
import mailbox
import quopri
from email.message import EmailMessage
from pathlib import Path

import pytest

from indexer.readers.base.outcomes import FileOutcome
from indexer.readers.opening import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.reading import read_all
from tests.indexer.readers.samples import paragraph, word_file


def mail(subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "Ann <ann@example.org>", "b@example.org"
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0100"
    message.set_content(text)
    return message


@pytest.mark.parametrize("length", ["", "0", "99999"], ids=["right", "none", "too long"])
def test_a_mail_of_apple_mail(tmp_path: Path, length: str) -> None:
    data = bytes(mail("Weirs", "A low dam."))
    plist = b'<?xml version="1.0"?><plist><dict><key>flags</key></dict></plist>\n'
    (tmp_path / "7.emlx").write_bytes(f"{length or len(data)}      \n".encode() + data + plist)
    [document], problems = read_all(tmp_path / "7.emlx")
    assert (document.title, document.text.startswith("A low dam."), problems) == ("Weirs", True, [])
    assert document.text == "A low dam." or length


def test_mail_with_attachment(tmp_path: Path) -> None:
    message = mail("Grüße", "Hallo")
    message.add_alternative("<p>Hallo in <b>HTML</b></p>", subtype="html")
    message.add_attachment(b"# Attached\n\nnotes", maintype="text", subtype="markdown", filename="n.md")
    message.add_attachment(b"\x89PNG....", maintype="image", subtype="png", filename="p.png")
    (tmp_path / "m.eml").write_bytes(bytes(message))
    outcomes: list[FileOutcome] = []
    body, attached = open_documents(tmp_path / "m.eml", on_file=outcomes.append)
    assert [(each.name, each.status, each.reason) for each in outcomes] == [
        ("m.eml/p.png", "skipped", "image: not a format that is read"),
        ("m.eml", "read", ""),
    ]
    assert isinstance(body, Document)
    assert isinstance(attached, Document)
    assert (body.id, body.title, body.text) == ("m.eml", "Grüße", "Hallo")
    assert body.metadata["date"] == "2024-01-01T10:00:00+01:00"
    assert (attached.id, attached.title) == ("m.eml/n.md", "Attached")


def test_mbox(tmp_path: Path) -> None:
    box = mailbox.mbox(str(tmp_path / "box"))
    for subject in ("one", "two"):
        box.add(mail(subject, "From here on\nit is text"))
    box.close()
    documents = [item for item in open_documents(tmp_path / "box") if isinstance(item, Document)]
    assert [(d.id, d.title, d.text) for d in documents] == [
        ("box/1", "one", "From here on\nit is text"),
        ("box/2", "two", "From here on\nit is text"),
    ]


def documents(path: Path) -> list[Document]:
    items = list(open_documents(path))
    assert [item for item in items if isinstance(item, BadDocument)] == []
    return [item for item in items if isinstance(item, Document)]


def test_recipients_with_commas_in_their_names(tmp_path: Path) -> None:
    message = mail("s", "t")
    message.replace_header("To", '"Doe, John" <j@example.org>, b@example.org')
    message["Cc"] = "c@example.org"
    (tmp_path / "m.eml").write_bytes(bytes(message))
    [document] = documents(tmp_path / "m.eml")
    assert document.metadata["to"] == ("Doe, John <j@example.org>", "b@example.org", "c@example.org")


def test_attachments_keep_their_formats(tmp_path: Path) -> None:
    message, inner = mail("outer", "see below"), mail("inner", "forwarded words")
    inner.add_attachment(b"deep", maintype="text", subtype="plain", filename="deep.txt")
    message.add_attachment(
        word_file(paragraph("text")), maintype="application", subtype="octet-stream", filename="w.docx"
    )
    message.add_attachment(b"name;n\nx;1\n", maintype="text", subtype="csv", filename="t.csv")
    message.add_attachment(inner)
    (tmp_path / "m.eml").write_bytes(bytes(message))
    found = [(d.id, d.title, d.metadata["format"], d.text) for d in documents(tmp_path / "m.eml")]
    assert found == [
        ("m.eml", "outer", "mail", "see below"),
        ("m.eml/w.docx", "The title", "docx", "text"),
        ("m.eml/t.csv", "t", "csv", "name | n\nx | 1"),
        ("m.eml/attachment-3", "inner", "mail", "forwarded words"),
        ("m.eml/attachment-3/deep.txt", "deep", "text", "deep"),
    ]


def test_attachments_with_equal_names_and_mails_without_a_body(tmp_path: Path) -> None:
    message = EmailMessage()
    for text in ("first", "second"):
        message.add_attachment(text.encode(), maintype="text", subtype="plain", filename="note.txt")
    (tmp_path / "m.eml").write_bytes(b"From: a@b.c\nTo: d@e.f\n" + bytes(message))
    assert [(d.id, d.text) for d in documents(tmp_path / "m.eml")] == [
        ("m.eml/note.txt", "first"),
        ("m.eml/2-note.txt", "second"),
    ]
    head = b"From: a@b.c\nTo: d@e.f\nSubject: outer\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
    (tmp_path / "n.eml").write_bytes(head + bytes(mail("inner", "text")))
    assert [d.title for d in documents(tmp_path / "n.eml")] == ["outer", "inner"]


def test_every_part_of_a_body_is_read(tmp_path: Path) -> None:
    """Read the text after an attachment, and HTML if the plain alternative is blank."""
    message = EmailMessage()
    message["Subject"] = "s"
    message.set_content("  ")
    message.add_alternative("<p>first</p>", subtype="html")
    message.add_attachment(b"attached", maintype="text", subtype="plain", filename="a.txt")
    footer = EmailMessage()
    footer.set_content("footer")
    message.attach(footer)
    (tmp_path / "m.eml").write_bytes(b"From: a@b.c\nTo: d@e.f\n" + bytes(message))
    assert [d.text for d in documents(tmp_path / "m.eml")] == ["first\n\nfooter", "attached"]


def test_a_page_saved_as_one_file(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"], message["Snapshot-Content-Location"] = "<Saved by Blink>", "https://example.org/a"
    message["Subject"], message["Date"] = "s", "Mon, 01 Jan 2024 10:00:00 +0100"
    text = "Words of the page itself, enough of them to count. " * 4
    message.set_content(f"<nav><a>Menu</a></nav><h1>Kettles</h1><p>{text}</p>", subtype="html")
    message.add_related(b"p {}", "text", "css", cid="<c>")
    (tmp_path / "page.mhtml").write_bytes(bytes(message))
    [document] = documents(tmp_path / "page.mhtml")
    assert (document.title, document.metadata["format"]) == ("Kettles", "html")
    assert document.metadata["url"] == "https://example.org/a"
    assert "Menu" not in document.text


def test_encoded_headers_and_bodies(tmp_path: Path) -> None:
    head = b"From: x@y.z\r\nTo: a@b.c\r\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?=\r\n =?utf-8?B?IHVuZCBLw7xzc2U=?=\r\n"
    kind = b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=us-ascii\r\n"
    body = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>Hello=20w=\r\norld =C3=A4 &euro;</p>"
    (tmp_path / "m.eml").write_bytes(head + b"Date: no date\r\n" + kind + body)
    [document] = documents(tmp_path / "m.eml")
    assert (document.title, document.text) == ("Grüße und Küsse", "Hello world ä €")
    assert "date" not in document.metadata


def test_flowed_text_is_joined(tmp_path: Path) -> None:
    head = b"From: a@b.c\nTo: d@e.f\nSubject: s\nMIME-Version: 1.0\nContent-Type: text/plain; format=flowed\n\n"
    body = b"One paragraph \nover two lines.\n\n> quoted \nNext.\n-- \nAnn\n"
    (tmp_path / "m.eml").write_bytes(head + body)
    [document] = documents(tmp_path / "m.eml")
    assert document.text == "One paragraph over two lines.\n\n> quoted \nNext.\n-- \nAnn"


def test_the_space_of_flowed_lines_may_not_be_text(tmp_path: Path) -> None:
    head = "Subject: s\nFrom: a@b.c\nContent-Type: text/plain; charset=utf-8; Format=Flowed; DelSp=Yes\n\n"
    (tmp_path / "m.eml").write_text(head + "明天上午九 \n点开会。\nA word  \nmore\n")
    [document] = documents(tmp_path / "m.eml")
    assert document.text == "明天上午九点开会。\nA word more"


def test_a_line_that_is_no_header_does_not_end_the_head(tmp_path: Path) -> None:
    text = "From: a@b.c\nSubject: Heron\ncount of June\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"
    (tmp_path / "m.eml").write_text(text + base64.b64encode(b"Eleven herons.").decode())
    (tmp_path / "n.eml").write_text("From: a@b.c\nSubject: No blank line\nHello Bob,\nthe weir: closed.\n\nAnn\n")
    assert [(each.title, each.text) for each in documents(tmp_path)] == [
        ("Heron count of June", "Eleven herons."),
        ("No blank line", "Hello Bob,\nthe weir: closed.\n\nAnn"),
    ]


def test_parts_that_are_nested_too_deep_are_named(tmp_path: Path) -> None:
    opened = "".join(f"Content-Type: multipart/mixed; boundary=b{depth}\n\n--b{depth}\n" for depth in range(25))
    found, problems = read_text_mail(tmp_path / "m.eml", f"From: a@b.c\nSubject: Deep\n{opened}\nAt the bottom.\n")
    assert [each.title for each in found] == ["Deep"]
    assert "nested more than 20 deep" in str(problems)


HEAD = "From: Ann <ann@example.org>\r\nTo: b@example.org\r\nSubject: Heron count\r\nMIME-Version: 1.0\r\n"
SPLIT = HEAD + 'Content-Type: multipart/{kind}; boundary="b"\r\n\r\n{parts}--b--\r\n'


def part(kind: str, text: str, headers: str = "") -> str:
    return f"--b\r\nContent-Type: {kind}\r\n{headers}\r\n{text}\r\n"


def read_text_mail(path: Path, text: str | bytes) -> tuple[list[Document], list[BadDocument]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_all(path)


def test_headers_in_seven_bit_encodings(tmp_path: Path) -> None:
    text = "Subject: 会議の件\n\n予算は第二水曜日です。\n".encode("iso2022_jp")
    [document], bad = read_text_mail(tmp_path / "m.eml", b"From: a@b.c\n" + text)
    assert (document.title, document.text, bad) == ("会議の件", "予算は第二水曜日です。", [])


def test_base64_that_is_cut_is_read_to_its_end(tmp_path: Path) -> None:
    encoded = base64.b64encode(b"Eleven herons at the weir.").decode()
    head = "From: a@b.c\nSubject: s\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n"
    [document], _ = read_text_mail(tmp_path / "m.eml", head + encoded[:29] + "!\n")
    assert document.text == "Eleven herons at the"


def test_declared_utf8_with_a_bad_byte(tmp_path: Path) -> None:
    head = b"From: a@b.c\nSubject: s\nContent-Type: text/plain; charset=utf-8\n\n"
    [document], _ = read_text_mail(tmp_path / "m.eml", head + "Größe ".encode() + b"caf\xe9\n")
    assert document.text == "Größe caf\ufffd"


@pytest.mark.parametrize("kind", ['message/partial; id="x"; number=1; total=2', "message/global", "message/news"])
def test_mails_within_a_mail(tmp_path: Path, kind: str) -> None:
    text = f"From: a@b.c\nSubject: s\nContent-Type: {kind}\n\nSubject: Inner\n\nThe first part.\n"
    found, bad = read_text_mail(tmp_path / "m.eml", text)
    assert ([(each.title, each.text) for each in found], bad) == ([("s", ""), ("Inner", "The first part.")], [])


def test_content_elsewhere_is_named(tmp_path: Path) -> None:
    kind = 'message/external-body; access-type=URL; URL="http://example.org"'
    text = f"From: a@b.c\nSubject: s\nContent-Type: {kind}\n\nContent-Type: text/plain\n\n"
    [document], [bad] = read_text_mail(tmp_path / "m.eml", text)
    assert (document.title, "message/external-body, which is not read" in str(bad)) == ("s", True)


@pytest.mark.parametrize("start", ["\ufeff", "\r\n\r\n", " \n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_bytes_before_the_headers(tmp_path: Path, start: str, encoding: str) -> None:
    text = start + HEAD + "Content-Transfer-Encoding: quoted-printable\r\n\r\nEleven =E2=80=93 two more."
    [document], bad = read_text_mail(tmp_path / "m.eml", text.encode(encoding))
    assert (document.title, document.text, bad) == ("Heron count", "Eleven – two more.", [])
    assert document.metadata["author"] == "Ann <ann@example.org>"


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_a_forwarded_mail_that_is_encoded(tmp_path: Path, encoding: str) -> None:
    inner = b"From: Cal <c@example.org>\r\nSubject: Pump hire\r\n\r\nIt costs 40 = forty.\r\n"
    packed = base64.encodebytes(inner) if encoding == "base64" else quopri.encodestring(inner)
    headers = f'Content-Disposition: attachment; filename="fwd.eml"\r\nContent-Transfer-Encoding: {encoding}\r\n'
    parts = part("text/plain", "See below.") + part("message/rfc822", packed.decode(), headers)
    documents, bad = read_text_mail(tmp_path / "m.eml", SPLIT.format(kind="mixed", parts=parts))
    assert [(d.id, d.title, d.text) for d in documents] == [
        ("m.eml", "Heron count", "See below."),
        ("m.eml/fwd.eml", "Pump hire", "It costs 40 = forty."),
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("kind", "parts", "text"),
    [
        ("related", [("image/png", "x"), ("text/html", "<p>The weir.</p>")], "The weir."),
        ("alternative", [("text/plain", "You cannot show HTML."), ("text/html", "<p>The upper lock is shut.</p>")], ""),
        (
            "alternative",
            [("text/plain", "The upper lock is shut."), ("text/html", "<b>The lock is shut.</b>")],
            "",
        ),
        ("alternative", [("text/plain", "The upper lock is shut."), ("text/html", "<img src='a.png'>")], ""),
        ("mixed", [("text/enriched", "The lock"), ("text/plain", "is shut.")], "The lock\n\nis shut."),
    ],
)
def test_the_body_is_the_part_that_tells_the_most(
    tmp_path: Path, kind: str, parts: list[tuple[str, str]], text: str
) -> None:
    mail_text = SPLIT.format(kind=kind, parts="".join(part(*each) for each in parts))
    [document], bad = read_text_mail(tmp_path / "m.eml", mail_text)
    assert (document.text, bad) == (text or "The upper lock is shut.", [])


def test_an_invitation_is_read(tmp_path: Path) -> None:
    event = "BEGIN:VEVENT\r\nSUMMARY;LANGUAGE=en:Gate inspection\r\nLOCATION:Upper\r\n  lock\r\nEND:VEVENT\r\n"
    calendar = f"BEGIN:VCALENDAR\r\n{event}END:VCALENDAR\r\n"
    parts = part("text/plain", "You are invited.") + part("text/calendar", calendar)
    [document], _ = read_text_mail(tmp_path / "m.eml", SPLIT.format(kind="alternative", parts=parts))
    assert document.text == "You are invited.\n\nGate inspection\nUpper lock"
    [document], _ = read_text_mail(tmp_path / "n.eml", HEAD + "Content-Type: text/calendar\r\n\r\n" + calendar)
    assert document.text == "Gate inspection\nUpper lock"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (
            HEAD + 'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--y\r\n\r\nThe weir leaks.\r\n',
            "cannot be told apart",
        ),
        (HEAD + "Content-Type: multipart/mixed\r\n\r\nThe weir leaks.\r\n", "cannot be told apart"),
        ("Not a header\r\nThe weir leaks.\r\n", "no header lines"),
    ],
)
def test_a_mail_that_cannot_be_split_keeps_its_text_and_says_so(tmp_path: Path, text: str, word: str) -> None:
    [document], [bad] = read_text_mail(tmp_path / "m.eml", text)
    assert "The weir leaks." in document.text
    assert word in str(bad)


def test_charsets_of_bodies_and_headers(tmp_path: Path) -> None:
    hebrew, plain = "שלום לכולם", "Content-Type: text/plain; charset="
    [document], bad = read_text_mail(
        tmp_path / "a.eml", (HEAD + plain + '"iso-8859-8-i"\r\n\r\n').encode() + hebrew.encode("iso8859-8")
    )
    assert (document.text, bad) == (hebrew, [])
    head = HEAD.replace("Heron count", "=?cp-850?Q?M=81ller?=")
    [document], bad = read_text_mail(
        tmp_path / "b.eml", (head + plain + "x-none\r\n\r\n").encode() + b"\x81\x8d\x8f\x90\x9d"
    )
    assert document.title == "Müller"
    raw = (HEAD.replace("Heron count", "Schlüssel") + plain + "iso-8859-1\r\n\r\nfür").encode("cp1252")
    [document], bad = read_text_mail(tmp_path / "c.eml", raw)
    assert (document.title, document.text, bad) == ("Schlüssel", "für", [])


def test_a_line_of_a_mail_that_begins_with_from_splits_no_mailbox(tmp_path: Path) -> None:
    start = "From a@b.c Mon Jan  1 10:00:00 2024\n"
    mails = f"{start}Subject: one\n\nWe left.\n\nFrom Naples we sailed.\n\n{start}Subject: two\n\nx\n"
    documents, bad = read_text_mail(tmp_path / "m.mbox", mails)
    assert [(d.title, d.text, bad) for d in documents] == [
        ("one", "We left.\n\nFrom Naples we sailed.", []),
        ("two", "x", []),
    ]


@pytest.mark.parametrize("name", ["To", "From", "Date", "Content-Type", "Content-Disposition", "Message-ID"])
def test_brackets_in_a_header_do_not_hide_a_mail(tmp_path: Path, name: str) -> None:
    [document], bad = read_text_mail(tmp_path / "m.eml", f"Subject: Weir\n{name}: {'(' * 9_000}\n\nThe weir leaks.")
    assert (document.title, document.text, bad) == ("Weir", "The weir leaks.", [])
