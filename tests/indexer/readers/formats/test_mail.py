"""Mails: headers and bodies in any encoding, attachments and forwarded mails."""

from __future__ import annotations

import mailbox
from email.message import EmailMessage
from pathlib import Path

from indexer.readers import open_documents
from retrieval.errors import BadDocument
from retrieval.types import Document
from tests.indexer.readers.samples import paragraph, word_file


def mail(subject: str, text: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "Ann <ann@example.org>", "b@example.org"
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0100"
    message.set_content(text)
    return message


def test_mail_with_attachment(tmp_path: Path) -> None:
    message = mail("Grüße", "Hallo")
    message.add_alternative("<p>Hallo in <b>HTML</b></p>", subtype="html")
    message.add_attachment(b"# Attached\n\nnotes", maintype="text", subtype="markdown", filename="n.md")
    message.add_attachment(b"\x89PNG....", maintype="image", subtype="png", filename="p.png")
    (tmp_path / "m.eml").write_bytes(bytes(message))
    body, attached = open_documents(tmp_path / "m.eml")
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
