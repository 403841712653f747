"""Small real servers for the tests of sources, each on a port of its own."""

from __future__ import annotations

import hashlib
import hmac
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

SECRET = "wJalrXUtnFEMI"


@contextmanager
def http_server(answer: Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    """Serve the answers of a function; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = answer(self)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class S3Bucket:
    """One bucket: lists in pages of two objects, and checks signatures (AWS Signature Version 4)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[str, bytes] = {}
        self.failures = 0  # next requests that get 503
        self.gets: list[str] = []

    def answer(self, request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        if self.failures:
            self.failures -= 1
            return 503, {}, b"<Error><Code>SlowDown</Code></Error>"
        if not self._is_signed(request):
            return 403, {}, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        address = urlsplit(request.path)
        bucket, _, key = unquote(address.path).removeprefix("/").partition("/")
        if bucket != self.name:
            return 404, {}, b"<Error><Code>NoSuchBucket</Code></Error>"
        if not key:
            return 200, {"Content-Type": "application/xml"}, self._listed(parse_qs(address.query))
        if key not in self.objects:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        self.gets.append(key)
        headers = {"ETag": self._etag(key), "Last-Modified": "Mon, 01 Jan 2024 10:00:00 GMT"}
        return 200, headers, self.objects[key]

    def _etag(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"'

    def _listed(self, query: dict[str, list[str]]) -> bytes:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        more = f"<NextContinuationToken>{escape(keys[1])}</NextContinuationToken>" if len(keys) > 2 else ""
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key])}</Size><ETag>{escape(self._etag(key))}"
            "</ETag><LastModified>2024-01-01T10:00:00.000Z</LastModified></Contents>"
            for key in keys[:2]
        )
        truncated = str(len(keys) > 2).lower()
        return (
            f'<?xml version="1.0"?><ListBucketResult><Name>{self.name}</Name><IsTruncated>{truncated}</IsTruncated>'
            f"{more}{contents}</ListBucketResult>"
        ).encode()

    def _is_signed(self, request: BaseHTTPRequestHandler) -> bool:
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=\w+/(\d+)/([\w-]+)/s3/aws4_request, ?SignedHeaders=([\w;-]+), ?"
            r"Signature=(\w+)",
            request.headers.get("Authorization", ""),
        )
        if found is None:
            return False
        day, region, names, signature = found.groups()
        address = urlsplit(request.path)
        headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names.split(";"))
        path = quote(unquote(address.path), safe="/-._~")
        content = request.headers["x-amz-content-sha256"]
        pairs = sorted(parse_qsl(address.query, keep_blank_values=True))
        query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
        canonical = "\n".join([request.command, path, query, headers, names, content])
        scope = f"{day}/{region}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, digest])
        key = f"AWS4{SECRET}".encode()
        for part in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)


class MailFolder:
    """The INBOX of a user, served by IMAP4rev1 as far as reading needs it."""

    def __init__(self, user: str, password: str) -> None:
        self.login = (user, password)
        self.mails: dict[int, bytes] = {}
        self.validity = 7
        self.next_uid = 1
        self.drops = 0  # next commands that end the connection
        self.commands: list[str] = []

    def add(self, mail: bytes) -> None:
        self.mails[self.next_uid] = mail
        self.next_uid += 1

    @contextmanager
    def served(self) -> Iterator[int]:
        """Yield the port."""
        folder = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"* OK ready\r\n")
                while line := self.rfile.readline():
                    tag, _, command = line.decode().strip().partition(" ")
                    folder.commands.append(command)
                    if folder.drops and not command.startswith(("CAPABILITY", "LOGIN", "EXAMINE")):
                        folder.drops -= 1
                        return
                    for answer in folder.answers(tag, command):
                        self.wfile.write(answer)
                    if command == "LOGOUT":
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        with Server(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_address[1]
            server.shutdown()

    def answers(self, tag: str, command: str) -> Iterator[bytes]:
        done = f"{tag} OK done\r\n".encode()
        if command == "CAPABILITY":
            yield b"* CAPABILITY IMAP4rev1\r\n"
        elif command.startswith("LOGIN"):
            user, password = self.login
            if command != f'LOGIN {user} "{password}"':
                done = f"{tag} NO wrong password\r\n".encode()
        elif command.startswith(("EXAMINE", "STATUS")) and '"INBOX"' not in command:
            done = f"{tag} NO no such mailbox\r\n".encode()
        elif command.startswith("EXAMINE"):
            yield f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY {self.validity}] ok\r\n".encode()
        elif command.startswith("STATUS"):
            facts = f"MESSAGES {len(self.mails)} UIDNEXT {self.next_uid} UIDVALIDITY {self.validity}"
            yield f'* STATUS "INBOX" ({facts})\r\n'.encode()
        elif command.startswith("UID SEARCH"):
            yield f"* SEARCH {' '.join(map(str, self.mails))}\r\n".encode()
        elif found := re.fullmatch(r"UID FETCH (\d+):(\d+) \(UID RFC822\.SIZE\)", command):
            first, last = map(int, found.groups())
            for number, (uid, mail) in enumerate(self.mails.items(), start=1):
                if first <= uid <= last:
                    yield f"* {number} FETCH (UID {uid} RFC822.SIZE {len(mail)})\r\n".encode()
        elif found := re.fullmatch(r"UID FETCH (\d+) \(BODY\.PEEK\[\]\)", command):
            if (mail := self.mails.get(int(found.group(1)))) is not None:
                yield f"* 1 FETCH (UID {found.group(1)} BODY[] {{{len(mail)}}}\r\n".encode() + mail + b")\r\n"
        elif command == "LOGOUT":
            yield b"* BYE\r\n"
        else:
            done = f"{tag} BAD unknown command\r\n".encode()
        yield done


def items(source: Any) -> dict[str, str]:
    """Return the versions of the items of a source, by name."""
    with source:
        source.version("")
        return {item.name: item.version for item in source.list()}
