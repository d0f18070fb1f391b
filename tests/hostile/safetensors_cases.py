"""Hostile safetensors headers, by class: each a generator of files with the answer it calls for."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import safetensors_builder as b
from gguf_case import ACCEPTED, NOTED, ODD_TEXTS, REFUSED, Case

from whatfits.sizing.readers.safetensors import DTYPE_BITS, MAX_HEADER_BYTES, MAX_TENSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOOD = json.dumps(b.entry(), separators=(",", ":"))
BIG = (2**31, 2**32, 2**53, 2**60, 2**63 - 1, 2**63, 2**64 - 1)
BEYOND = (2**64, 2**65, 10**25)
NO_NUMBERS = (
    "-1",
    "1.5",
    "1.0",
    "1e0",
    "1e999",
    "NaN",
    "Infinity",
    '"2"',
    "null",
    "true",
    "[2]",
    "{}",
)


def _one(
    name: str, header: str | bytes, answer: str = REFUSED, says: str = "", data: int = 8
) -> Case:
    return Case(name, b.with_header(header, bytes(data)), answer, says)


def lengths() -> Iterator[Case]:
    for n in range(8):
        says = f"the file ends after {n} of 8 bytes"
        yield Case(f"file of {n} bytes", b"\2" + bytes(n - 1) if n else b"", REFUSED, says)
    for length in (0, 1, MAX_HEADER_BYTES + 1, *BIG):
        data = b.with_header("{}", length=length)
        yield Case(f"length {length}", data, REFUSED, "header length")
    longest = b"{" + b" " * (MAX_HEADER_BYTES - 2) + b"}"
    yield Case("the longest header", b.with_header(longest), ACCEPTED)
    longer = b.with_header(longest + b" ")
    yield Case("a byte more than the longest", longer, REFUSED, "header length")
    for more in (1, 2, 100):
        data = b.with_header("{}", length=2 + more)
        yield Case(f"length {more} too long", data, REFUSED, f"{more} bytes early")
    yield Case("length one too short", b.with_header('{"a":1}', length=6), REFUSED)


def starts() -> Iterator[Case]:
    for name, start in {
        "byte order mark": b"\xef\xbb\xbf",
        "blank": b" ",
        "newline": b"\n",
        "zero": b"\0",
        "UTF-16": b"\xff\xfe",
        "comment": b"/**/",
        "list": b"[",
    }.items():
        yield _one(name, start + b.raw("a", GOOD).encode(), says="starts with")


def ends() -> Iterator[Case]:
    header = b.raw("a", GOOD).encode()
    for name, end in {
        "zero": b"\0",
        "zeros": bytes(7),
        "brace": b"}",
        "word": b"x",
        "more": b"{}",
    }.items():
        yield _one(f"{name} after the object", header + end, says="goes on")
    for blank in (b" ", b"\n", b"\t\r\n    "):
        yield _one(f"blank {blank!r} after the object", header + blank, ACCEPTED)
    for cut in range(1, len(header)):
        yield _one(f"object cut after {cut}", header[:cut])


def top_levels() -> Iterator[Case]:
    for text in ("[]", "1", '"a"', "null", "true", "nul", "}", "{1:2}", "{a:1}", "{'a':1}"):
        yield _one(f"top level {text}", text + " " * 8)
    for text in (
        '{"a"}',
        '{"a":}',
        '{,"a":1}',
        '{"a" 1}',
        '{"a":' + GOOD + ",}",
        '{"a":' + GOOD + ' "b":1}',
    ):
        yield _one(f"marks wrong in {text[:12]}{len(text)}", text)


def marks() -> Iterator[Case]:
    """Another mark where one must be, everything else as it should be."""
    empty = '{"dtype":"F32","shape":[0],"data_offsets":[8,8]}'
    for mark in (";", "=", ".", "{", "x", "\0"):
        yield _one(f"{mark!r} for a colon", f'{{"a"{mark}{GOOD}}}', says=f"{mark!r}; allowed: ':'")
        text = f'{{"a":{GOOD}{mark}"b":{empty}}}'
        yield _one(f"{mark!r} for a comma", text, says=f"{mark!r}; allowed: ','")
        text = f'{{"__metadata__":{mark}"k":"v"}},"a":{GOOD}}}'
        if mark != "{":
            yield _one(f"{mark!r} for a brace", text, says=f"{mark!r}; allowed: '{{'")


def depths() -> Iterator[Case]:
    for depth in (65, 900, 5_000, 30_000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = opening * depth + "1" + closing * depth
            yield _one(f"{depth} x {opening}", b.raw("a", nested))
        yield _one(f"{depth} open lists", '{"a":' + "[" * depth)
    for depth in (1, 5, 50):
        value = (
            '{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":' + "[" * depth + "]" * depth + "}"
        )
        yield _one(f"odd field {depth} deep", b.raw("a", value), NOTED, "does not have")


def odd_fields() -> Iterator[Case]:
    """Fields that the format does not have: stepped over, within the bounds of every value."""

    def with_field(value: str) -> str:
        return b.raw("a", GOOD[:-1] + f',"x":{value}}}')

    for name, value in {
        "text": '"a"',
        "null": "null",
        "object": '{"a":{"b":[1.5e3]}}',
        "62 deep": "[" * 62 + "]" * 62,
        "60,000 bytes": '"' + "a" * 60_000 + '"',
        "pair": '"\\ud83d\\ude00"',
    }.items():
        yield _one(f"odd field: {name}", with_field(value), NOTED, "does not have")
    yield _one("odd field 100 deep", with_field("[" * 100 + "]" * 100), says="nested")
    long = '"' + "a" * 70_000 + '"'
    yield _one("odd field of 70,000 bytes", with_field(long), says="is too long a value")
    yield _one("half a pair in an odd field", with_field('"\\ud800"'), says="surrogate")
    for value in ("nul", "tru", "1..2", "'a'", "", "]", "undefined"):
        yield _one(f"odd field {value!r}", with_field(value))


def bloat() -> Iterator[Case]:
    empty = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    for count in (MAX_TENSORS + 1, 200_000):
        text = "{" + ",".join(f'"{i}":{empty}' for i in range(count)) + "}"
        yield _one(f"{count} empty tensors", text, says="tensors", data=0)
    loose = empty.replace(",", ", ").replace(":", ": ")
    shuffled = '{"shape":[0],"dtype":"F32","data_offsets":[0,0]}'
    for name, entry in {"": empty, ", loose": loose, ", shuffled": shuffled}.items():
        text = "{" + ",".join(f'"{i:x}":{entry}' for i in range(15_000)) + "}"
        yield _one(f"a megabyte of empty tensors{name}", text, ACCEPTED, data=0)
    for part in ("[],", "[[]],", '"",', '{"":""},', '{"a":[]},'):
        odd = empty[:-1] + ',"x":[' + part * (60_000 // len(part)) + "1]}"
        text = "{" + ",".join(f'"{i}":{odd}' for i in range(15)) + "}"
        yield _one(f"a megabyte of odd fields of {part}", text, says="too many marks", data=0)
    numbers = empty[:-1] + ',"x":[' + "0," * 30_000 + "1]}"
    text = "{" + ",".join(f'"{i}":{numbers}' for i in range(15)) + "}"
    yield _one("a megabyte of odd fields of numbers", text, NOTED, "does not have", data=0)
    yield _one("10 MB of lists", '{"a":[' + "[]," * 3_300_000 + "1]}")
    yield _one("8 MB of objects", '{"a":[' + "{}," * 2_700_000 + "1]}")
    yield _one("8 MB of numbers", '{"a":[' + "1," * 4_000_000 + "1]}", says="too long")
    yield _one(
        "8 MB of metadata keys",
        '{"__metadata__":{' + '"":"",' * 1_300_000 + '"a":""}}',
        says="twice",
    )
    yield _one("8 MB in one name", b.raw("a" * 8_000_000, GOOD), says="bytes long")
    yield _one("8 MB in one value", b.raw("a", '"' + "a" * 8_000_000 + '"'), says="too long")
    yield _one("8 MB of backslashes", b.raw("\\\\" * 4_000_000, GOOD), says="bytes long")
    yield _one("8 MB of blanks", "{" + " " * 8_000_000 + "}", ACCEPTED, data=0)
    yield _one(
        "8 MB in one metadata text",
        '{"__metadata__":{"a":"' + "b" * 8_000_000 + '"}}',
        ACCEPTED,
        data=0,
    )


def numbers() -> Iterator[Case]:
    for digits in (20, 41, 5_000, 60_000, 1_000_000):
        nines = "9" * digits
        for field, value in {"shape": f"[{nines}]", "offset": f"[0,{nines}]", "odd": nines}.items():
            entry = {"shape": "[2]", "offset": "[0,8]", "odd": "1", field: value}
            text = (
                f'{{"dtype":"F32","shape":{entry["shape"]},"data_offsets":{entry["offset"]},'
                f'"x":{entry["odd"]}}}'
            )
            answer = NOTED if (field, digits) == ("odd", 20) else REFUSED
            yield _one(
                f"{digits} digits in {field}",
                b.raw("a", text),
                answer,
                "" if answer == REFUSED else "x",
            )
    for text in ("01", "00", "+1", "0x1", "1_0", ".5", "1.", "--1"):
        value = f'{{"dtype":"U8","shape":[{text}],"data_offsets":[0,1]}}'
        yield _one(f"number {text}", b.raw("a", value), data=1)


def duplicates() -> Iterator[Case]:
    yield _one("tensor twice", f'{{"a":{GOOD},"a":{GOOD}}}', says="twice")
    yield _one("tensor twice by escape", f'{{"a":{GOOD},"\\u0061":{GOOD}}}', says="twice")
    yield _one(
        "metadata twice", f'{{"__metadata__":{{}},"a":{GOOD},"__metadata__":{{}}}}', says="twice"
    )
    yield _one("metadata key twice", '{"__metadata__":{"a":"1","a":"2"}}', says="twice", data=0)
    for field in ("dtype", "shape", "data_offsets", "x"):
        parts = json.loads(GOOD) | {"x": 1}
        value = GOOD[:-1] + f',"x":1,"{field}":{json.dumps(parts[field])}}}'
        yield _one(f"field {field} twice", b.raw("a", value), says="twice")


def texts() -> Iterator[Case]:
    for name, text in {
        "lone high surrogate": "\\ud800",
        "lone low surrogate": "\\udc00",
        "surrogates reversed": "\\udc00\\ud800",
    }.items():
        yield _one(f"{name} in a name", b.raw(text, GOOD), says="surrogate")
        yield _one(
            f"{name} in metadata", f'{{"__metadata__":{{"a":"{text}"}}}}', says="surrogate", data=0
        )
        value = GOOD.replace('"F32"', f'"{text}"')
        yield _one(f"{name} in a type", b.raw("a", value), says="surrogate")
    yield _one("surrogate pair", b.raw("\\ud83d\\ude00", GOOD), ACCEPTED)
    for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3"):
        yield _one(f"{bad!r} in a name", b'{"a' + bad + b'":' + GOOD.encode() + b"}", says="UTF-8")
        yield _one(
            f"{bad!r} in a type", b'{"a":' + GOOD.encode().replace(b"F32", bad) + b"}", says="UTF-8"
        )
    for name, text in ODD_TEXTS.items():
        answer = ACCEPTED if text.isprintable() else NOTED
        yield _one(f"{name} in a name", b.raw(json.dumps(text)[1:-1], GOOD), answer, "printed")
    for control in ("\n", "\t", "\0", "\x1f"):
        yield _one(f"bare {control!r} in a name", b.raw(f"a{control}", GOOD), says="control")
    for escape in ("\\x41", "\\u12", "\\", "\\u00g0", "\\'"):
        yield _one(f"escape {escape}", b.raw(f"a{escape}", GOOD))
    yield _one("empty name", b.raw("", GOOD), NOTED, "empty")
    yield _one("name of 65,000 bytes", b.raw("a" * 65_000, GOOD), ACCEPTED)
    yield _one("name of 65,536 bytes, quotes included", b.raw("a" * 65_534, GOOD), ACCEPTED)
    yield _one("name of a byte more", b.raw("a" * 65_535, GOOD), says="65,537 bytes long")
    yield _one("name of 66,000 bytes", b.raw("a" * 66_000, GOOD), says="bytes long")


def metadata() -> Iterator[Case]:
    for value in ("1", "null", "true", "[]", "{}", '["a"]', "1.5"):
        yield _one(
            f"metadata value {value}", f'{{"__metadata__":{{"a":{value}}}}}', says="string", data=0
        )
    for value in ("[]", "1", '"a"', "null", "true"):
        yield _one(f"metadata {value}", f'{{"__metadata__":{value}}}', data=0)
    for name, value in {
        "none": "{}",
        "one": '{"format":"pt"}',
        "long": '{"a":"' + "x" * 5_000 + '"}',
    }.items():
        yield _one(f"metadata with {name}", f'{{"__metadata__":{value}}}', ACCEPTED, data=0)


def entries() -> Iterator[Case]:
    for value in ("null", "1", '"a"', "[]", "{}", "true", "[[]]"):
        yield _one(f"entry {value}", b.raw("a", value))
    whole = json.loads(GOOD)
    for field in whole:
        rest = {key: value for key, value in whole.items() if key != field}
        yield _one(f"no {field}", b.raw("a", json.dumps(rest)), says=field)
        for value in ("null", "1", "{}", '"a"', "true", "[[]]", '["a"]'):
            if (field, value) == ("dtype", '"a"'):
                continue
            text = GOOD.replace(json.dumps(whole[field], separators=(",", ":")), value, 1)
            yield _one(f"{field} {value}", b.raw("a", text), says=field)
    yield _one("another order", b.raw("a", json.dumps(dict(reversed(whole.items())))), ACCEPTED)
    yield _one("blanks", b.raw("a", json.dumps(whole, indent=3)), ACCEPTED)
    yield _one(
        "one more field", b.raw("a", json.dumps({**whole, "x": [1]})), NOTED, "does not have"
    )


def types() -> Iterator[Case]:
    for dtype in ("F33", "f32", "BFLOAT16", "Q4_K", "", "I4", "F8", "X" * 100, "a\\u001b[31m"):
        value = GOOD.replace("F32", dtype)
        yield _one(f"type {dtype[:9]}", b.raw("a", value), NOTED, "not known")
    for dtype, bits in DTYPE_BITS.items():
        n_bytes = bits  # eight elements
        value = f'{{"dtype":"{dtype}","shape":[8],"data_offsets":[0,{n_bytes}]}}'
        yield _one(f"eight {dtype}", b.raw("a", value), ACCEPTED, data=n_bytes)
        wrong = value.replace(f",{n_bytes}]", f",{n_bytes + 1}]")
        yield _one(
            f"eight {dtype}, a byte more", b.raw("a", wrong), says="data_offsets", data=n_bytes + 1
        )
    for dtype in ("F4", "F6_E2M3", "F6_E3M2"):
        value = f'{{"dtype":"{dtype}","shape":[3],"data_offsets":[0,2]}}'
        yield _one(f"three {dtype}", b.raw("a", value), says="whole bytes", data=2)


def shapes() -> Iterator[Case]:
    for big in BIG:
        for shape in ([big], [big, 2], [2, big], [big, big], [big] * 16):
            value = json.dumps({"dtype": "F32", "shape": shape, "data_offsets": [0, 8]})
            yield _one(f"shape {shape}", b.raw("a", value))
    for shape in ([2**32, 2**32], [2**62], [2**63, 2]):  # these wrap to nothing in 64 bits
        value = json.dumps({"dtype": "F32", "shape": shape, "data_offsets": [0, 0]})
        yield _one(f"shape {shape} in no bytes", b.raw("a", value), says="2^64 bits", data=0)
    for beyond in BEYOND:
        value = json.dumps({"dtype": "F32", "shape": [beyond, 0], "data_offsets": [0, 0]})
        yield _one(f"shape with {beyond}", b.raw("a", value), says="2^64", data=0)
    for text in NO_NUMBERS:
        value = f'{{"dtype":"F32","shape":[{text}],"data_offsets":[0,8]}}'
        yield _one(f"shape [{text}]", b.raw("a", value))
    ones = json.dumps({"dtype": "F32", "shape": [1] * 17, "data_offsets": [0, 4]})
    yield _one("17 dimensions", b.raw("a", ones), says="17 numbers", data=4)
    for most in ([1] * 15 + [2], [2] + [1] * 15):
        loose = json.dumps({"shape": most, "dtype": "F32", "data_offsets": [0, 8]}, indent=1)
        yield _one(f"16 dimensions from {most[0]}, loose", b.raw("a", loose), ACCEPTED)
    greatest = json.dumps({"dtype": "F32", "shape": [2**64 - 1, 0], "data_offsets": [0, 0]})
    yield _one("nothing of 2^64 - 1", b.raw("a", greatest), ACCEPTED, data=0)
    zero = json.dumps({"dtype": "F32", "shape": [2**40, 0, 2**40], "data_offsets": [0, 0]})
    yield _one("nothing of 2^80", b.raw("a", zero), ACCEPTED, data=0)


def offsets() -> Iterator[Case]:
    for start, end in (
        (8, 0),
        (1, 9),
        (0, 7),
        (0, 9),
        (4, 12),
        (9, 1),
        (0, 0),
        (8, 8),
        (2**63, 2**63 + 8),
    ):
        value = json.dumps(b.entry(start=start, end=end))
        yield _one(f"offsets {start}, {end}", b.raw("a", value), data=16)
    for big in BIG:
        value = json.dumps(b.entry(start=big, end=big + 8))
        yield _one(f"offsets from {big}", b.raw("a", value))
        yield _one(f"offsets to {big}", b.raw("a", json.dumps(b.entry(end=big))))
    for start, end in ((8, 0), (2**62, 1)):
        value = f'{{"dtype":"X9","shape":[2],"data_offsets":[{start},{end}]}}'
        says = "before they begin"
        yield _one(f"offsets {start}, {end} of an unknown type", b.raw("a", value), says=says)
        yield _one(f"offsets {start}, {end} after a whole one", f'{{"b":{GOOD},"a":{value}}}')
    for text in NO_NUMBERS:
        for pair in (f"[{text},8]", f"[0,{text}]"):
            yield _one(f"offsets {pair}", b.raw("a", GOOD.replace("[0,8]", pair)))
    for pair in ("[]", "[0]", "[0,8,8]"):
        yield _one(f"offsets {pair}", b.raw("a", GOOD.replace("[0,8]", pair)), says="numbers")


def covers() -> Iterator[Case]:
    def two(name: str, first: tuple[int, int], second: tuple[int, int], says: str) -> Case:
        rows = {
            "a": {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first},
            "b": {"dtype": "U8", "shape": [second[1] - second[0]], "data_offsets": second},
        }
        return _one(name, json.dumps(rows), says=says, data=32)

    yield two("same place", (0, 8), (0, 8), "overlaps")
    yield two("one in the other", (0, 16), (4, 8), "overlaps")
    yield two("one byte shared", (0, 8), (7, 16), "overlaps")
    yield two("hole of a byte", (0, 8), (9, 16), "hole")
    yield two("hole at the start", (1, 8), (8, 16), "hole")
    yield two("hole of 2^60", (0, 8), (2**60, 2**60 + 8), "hole")
    yield two("other order, hole", (9, 16), (0, 8), "hole")
    rows = {"b": b.entry(start=8, end=16), "a": b.entry(), "z": b.entry(shape=(0,), start=8, end=8)}
    yield _one("other order, whole", json.dumps(rows), ACCEPTED, data=16)


def data_lengths() -> Iterator[Case]:
    for missing in range(1, 9):
        yield _one(
            f"{missing} bytes missing",
            b.raw("a", GOOD),
            says=f"{missing} bytes early",
            data=8 - missing,
        )
    for more in (1, 7, 8, 4_096):
        yield _one(
            f"{more} bytes more", b.raw("a", GOOD), NOTED, "after the last tensor", data=8 + more
        )
    yield _one("bytes and no tensor", "{}", NOTED, "after the last tensor", data=5)
    value = json.dumps({"dtype": "U8", "shape": [2**50], "data_offsets": [0, 2**50]})
    yield _one("a petabyte of a byte", b.raw("a", value), says="bytes early", data=1)


def polyglots() -> Iterator[Case]:
    yield Case("GGUF", b"GGUF\3\0\0\0" + bytes(40), REFUSED, "header length")
    yield Case("zip", b"PK\3\4" + bytes(60), REFUSED, "header length")
    yield Case("pickle", b"\x80\4\x95" + bytes(60), REFUSED)
    yield Case("JSON alone", b'{"a": 1}', REFUSED, "header length")
    yield Case("ones", b"\xff" * 64, REFUSED, "header length")
    yield Case("zeros", bytes(64), REFUSED, "header length")
    yield Case("big-endian length", struct.pack(">Q", 2) + b"{}", REFUSED, "header length")


CLASSES: dict[str, Callable[[], Iterator[Case]]] = {
    "S1 length": lengths,
    "S1 start": starts,
    "S1 end": ends,
    "S1 other formats": polyglots,
    "S2 top level": top_levels,
    "S2 marks": marks,
    "S2 depth": depths,
    "S2 odd fields": odd_fields,
    "S2 bloat": bloat,
    "S2 numbers": numbers,
    "S2 duplicates": duplicates,
    "S2 texts": texts,
    "S2 metadata": metadata,
    "S3 entries": entries,
    "S3 types": types,
    "S3 shapes": shapes,
    "S3 offsets": offsets,
    "S3 cover": covers,
    "S3 data": data_lengths,
}


def all_cases() -> Iterator[tuple[str, Case]]:
    """Every case with its class."""
    for label, cases in CLASSES.items():
        for case in cases():
            yield label, case
