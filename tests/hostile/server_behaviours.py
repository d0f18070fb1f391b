"""What a server may do instead of answering: each a reply for `range_server`.

The content a client wants is `CONTENT`. Every reply ends by itself when the client goes away.
"""

from __future__ import annotations

import gzip
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from range_server import Handler

CONTENT = bytes(range(256)) * 1024
SIZE = len(CONTENT)
ZEROS = gzip.compress(bytes(10_000_000), 1)


def asked(handler: Handler) -> tuple[int, int]:
    """Return which part was asked for, the end not included."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    return (int(match[1]), int(match[2]) + 1) if match else (0, SIZE)


def partial(handler: Handler, body: bytes, content_range: str, **headers: str) -> None:
    handler.answer(206, body, Content_Range=content_range, ETag='"1"', **headers)


def endless_body(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        handler.raw(bytes(65_536))


def endless_chunks(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        handler.raw(b"10000\r\n" + bytes(65_536) + b"\r\n")


def endless_small_chunks(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        handler.raw(b"1\r\nx\r\n" * 10_000)


def endless_partial(handler: Handler) -> None:
    start, end = asked(handler)
    handler.raw(
        f"HTTP/1.1 206 Partial\r\nContent-Range: bytes {start}-{end - 1}/{SIZE}\r\n\r\n".encode()
    )
    while True:
        handler.raw(bytes(65_536))


def endless_header_lines(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n")


def endless_header_line(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        handler.raw(b"a" * 65_536)


def endless_interim_answers(handler: Handler) -> None:
    while True:
        handler.raw(b"HTTP/1.1 102 Processing\r\n\r\n" * 1_000)


def slow_headers(handler: Handler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 1_000:
        drop(handler, bytes([byte]))


def slow_body(handler: Handler) -> None:
    drop(handler, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(100):
        drop(handler, b"x")


def silence(handler: Handler) -> None:
    time.sleep(2)


def silence_in_the_body(handler: Handler) -> None:
    drop(handler, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc")
    time.sleep(2)


def drop(handler: Handler, data: bytes) -> None:
    """Send some bytes at once and wait."""
    handler.raw(data)
    handler.wfile.flush()
    time.sleep(0.05)


def hang_up(handler: Handler) -> None:
    handler.close_connection = True


def hang_up_in_the_body(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nabc")


def no_http(handler: Handler) -> None:
    handler.raw(b"SSH-2.0-OpenSSH_9.6\r\n")


def old_http(handler: Handler) -> None:
    handler.raw(b"<html>I have no status line</html>")


def gzip_bomb(handler: Handler) -> None:
    handler.answer(200, ZEROS, Content_Encoding="gzip")


def gzip_bomb_in_a_range(handler: Handler) -> None:
    start, end = asked(handler)
    content_range = f"bytes {start}-{end - 1}/{SIZE}"
    partial(handler, CONTENT[start:end], content_range, Content_Encoding="gzip")


def unknown_encoding(handler: Handler) -> None:
    handler.answer(200, CONTENT, Content_Encoding="identity, br")


def gzip_transfer(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")


def two_lengths(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef")


def negative_length(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcdef")


def length_of_letters(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabcdef")


def absurd_length(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\nabc")


def range_elsewhere(handler: Handler) -> None:
    start, end = asked(handler)
    partial(handler, CONTENT[: end - start], f"bytes {start + 1}-{end}/{SIZE}")


def range_without_length(handler: Handler) -> None:
    start, end = asked(handler)
    partial(handler, CONTENT[start:end], f"bytes {start}-{end - 1}/*")


def range_longer_than_its_body(handler: Handler) -> None:
    start, end = asked(handler)
    partial(handler, CONTENT[start : end - 1], f"bytes {start}-{end - 1}/{SIZE}")


def range_shorter_than_its_body(handler: Handler) -> None:
    start, end = asked(handler)
    partial(handler, CONTENT[start:end], f"bytes {start}-{end - 2}/{SIZE}")


def range_beyond_the_file(handler: Handler) -> None:
    start, end = asked(handler)
    partial(handler, CONTENT[start:end], f"bytes {start}-{end - 1}/{end - 1}")


def range_of_absurd_size(handler: Handler) -> None:
    start, end = asked(handler)
    partial(handler, CONTENT[start:end], f"bytes {start}-{end - 1}/{2**60}")


def range_of_letters(handler: Handler) -> None:
    start, end = asked(handler)
    partial(handler, CONTENT[start:end], "bytes some-more/all")


def range_twice(handler: Handler) -> None:
    start, end = asked(handler)
    said = f"Content-Range: bytes {start}-{end - 1}/{SIZE}\r\n" * 2
    head = f"HTTP/1.1 206 Partial\r\n{said}Content-Length: {end - start}\r\n\r\n"
    handler.raw(head.encode() + CONTENT[start:end])


def no_range_in_a_partial_answer(handler: Handler) -> None:
    start, end = asked(handler)
    handler.answer(206, CONTENT[start:end])


def several_ranges(handler: Handler) -> None:
    handler.answer(206, b"--x\r\n\r\n", Content_Type="multipart/byteranges; boundary=x")


def unsatisfied(handler: Handler) -> None:
    handler.answer(416, Content_Range=f"bytes */{SIZE}")


def empty_partial(handler: Handler) -> None:
    partial(handler, b"", f"bytes 0-0/{SIZE}")


def redirect_to_itself(handler: Handler) -> None:
    handler.answer(302, Location=handler.path)


def redirect_without_end(handler: Handler) -> None:
    handler.answer(307, Location=handler.path.partition("?")[0] + f"?{time.monotonic_ns()}")


def redirect_to_nothing(handler: Handler) -> None:
    handler.answer(302)


def redirect_to_metadata(handler: Handler) -> None:
    handler.answer(302, Location="http://169.254.169.254/latest/meta-data/")


def redirect_with_a_long_body(handler: Handler) -> None:
    handler.answer(302, bytes(10_000_000), Location=handler.path)


def redirect_twice_in_one_header(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 302 F\r\nLocation: /a\r\nLocation: https://b.example/\r\n\r\n")


def status(code: int) -> Callable[[Handler], None]:
    def reply(handler: Handler) -> None:
        handler.answer(code, b"no")

    return reply


def long_error(handler: Handler) -> None:
    handler.answer(500, bytes(10_000_000))


def switched_protocol(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + bytes(99))


BOTH = {
    reply.__name__.replace("_", " "): reply
    for reply in (
        *(endless_body, endless_chunks, endless_small_chunks, endless_header_lines),
        *(endless_header_line, endless_interim_answers, slow_headers, slow_body, silence),
        *(silence_in_the_body, hang_up, hang_up_in_the_body, no_http, old_http, gzip_bomb),
        *(unknown_encoding, gzip_transfer, two_lengths, negative_length, length_of_letters),
        *(absurd_length, redirect_to_itself, redirect_without_end, redirect_to_nothing),
        *(redirect_to_metadata, redirect_with_a_long_body, redirect_twice_in_one_header),
        *(long_error, switched_protocol),
    )
} | {f"status {code}": status(code) for code in (204, 300, 304, 400, 401, 403, 404, 429, 500, 503)}
RANGES = {
    reply.__name__.replace("_", " "): reply
    for reply in (
        *(endless_partial, gzip_bomb_in_a_range, range_elsewhere, range_without_length),
        *(range_longer_than_its_body, range_shorter_than_its_body, range_beyond_the_file),
        *(range_of_absurd_size, range_of_letters, range_twice, no_range_in_a_partial_answer),
        *(several_ranges, unsatisfied, empty_partial),
    )
}
