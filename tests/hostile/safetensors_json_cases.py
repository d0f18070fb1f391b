"""Headers that are no sound JSON, or JSON of another form: depth, length, numbers, texts, keys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import safetensors_builder as b
from gguf_case import ACCEPTED, NOTED, ODD_TEXTS, REFUSED, Case
from safetensors_builder import GOOD, one

from whatfits.sizing.readers.safetensors import MAX_TENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator


def top_levels() -> Iterator[Case]:
    for text in ("[]", "1", '"a"', "null", "true", "nul", "}", "{1:2}", "{a:1}", "{'a':1}"):
        yield one(f"top level {text}", text + " " * 8)
    for text in (
        '{"a"}',
        '{"a":}',
        '{,"a":1}',
        '{"a" 1}',
        '{"a":' + GOOD + ",}",
        '{"a":' + GOOD + ' "b":1}',
    ):
        yield one(f"marks wrong in {text[:12]}{len(text)}", text)


def marks() -> Iterator[Case]:
    """Another mark where one must be, everything else as it should be."""
    empty = '{"dtype":"F32","shape":[0],"data_offsets":[8,8]}'
    for mark in (";", "=", ".", "{", "x", "\0"):
        yield one(f"{mark!r} for a colon", f'{{"a"{mark}{GOOD}}}', says=f"{mark!r}; allowed: ':'")
        text = f'{{"a":{GOOD}{mark}"b":{empty}}}'
        yield one(f"{mark!r} for a comma", text, says=f"{mark!r}; allowed: ','")
        text = f'{{"__metadata__":{mark}"k":"v"}},"a":{GOOD}}}'
        if mark != "{":
            yield one(f"{mark!r} for a brace", text, says=f"{mark!r}; allowed: '{{'")


def depths() -> Iterator[Case]:
    for depth in (65, 900, 5_000, 30_000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            nested = opening * depth + "1" + closing * depth
            yield one(f"{depth} x {opening}", b.raw("a", nested))
        yield one(f"{depth} open lists", '{"a":' + "[" * depth)
    for depth in (1, 5, 50):
        value = (
            '{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":' + "[" * depth + "]" * depth + "}"
        )
        yield one(f"odd field {depth} deep", b.raw("a", value), NOTED, "does not have")


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
        yield one(f"odd field: {name}", with_field(value), NOTED, "does not have")
    yield one("odd field 100 deep", with_field("[" * 100 + "]" * 100), says="nested")
    long = '"' + "a" * 70_000 + '"'
    yield one("odd field of 70,000 bytes", with_field(long), says="is too long a value")
    yield one("half a pair in an odd field", with_field('"\\ud800"'), says="surrogate")
    for value in ("nul", "tru", "1..2", "'a'", "", "]", "undefined"):
        yield one(f"odd field {value!r}", with_field(value))


def bloat() -> Iterator[Case]:
    empty = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    for count in (MAX_TENSORS + 1, 200_000):
        text = "{" + ",".join(f'"{i}":{empty}' for i in range(count)) + "}"
        yield one(f"{count} empty tensors", text, says="tensors", data=0)
    loose = empty.replace(",", ", ").replace(":", ": ")
    shuffled = '{"shape":[0],"dtype":"F32","data_offsets":[0,0]}'
    for name, entry in {"": empty, ", loose": loose, ", shuffled": shuffled}.items():
        text = "{" + ",".join(f'"{i:x}":{entry}' for i in range(15_000)) + "}"
        yield one(f"a megabyte of empty tensors{name}", text, ACCEPTED, data=0)
    for part in ("[],", "[[]],", '"",', '{"":""},', '{"a":[]},'):
        odd = empty[:-1] + ',"x":[' + part * (60_000 // len(part)) + "1]}"
        text = "{" + ",".join(f'"{i}":{odd}' for i in range(15)) + "}"
        yield one(f"a megabyte of odd fields of {part}", text, says="too many marks", data=0)
    numbers = empty[:-1] + ',"x":[' + "0," * 30_000 + "1]}"
    text = "{" + ",".join(f'"{i}":{numbers}' for i in range(15)) + "}"
    yield one("a megabyte of odd fields of numbers", text, NOTED, "does not have", data=0)
    yield one("10 MB of lists", '{"a":[' + "[]," * 3_300_000 + "1]}")
    yield one("8 MB of objects", '{"a":[' + "{}," * 2_700_000 + "1]}")
    yield one("8 MB of numbers", '{"a":[' + "1," * 4_000_000 + "1]}", says="too long")
    yield one(
        "8 MB of metadata keys",
        '{"__metadata__":{' + '"":"",' * 1_300_000 + '"a":""}}',
        says="twice",
    )
    yield one("8 MB in one name", b.raw("a" * 8_000_000, GOOD), says="bytes long")
    yield one("8 MB in one value", b.raw("a", '"' + "a" * 8_000_000 + '"'), says="too long")
    yield one("8 MB of backslashes", b.raw("\\\\" * 4_000_000, GOOD), says="bytes long")
    yield one("8 MB of blanks", "{" + " " * 8_000_000 + "}", ACCEPTED, data=0)
    yield one(
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
            yield one(
                f"{digits} digits in {field}",
                b.raw("a", text),
                answer,
                "" if answer == REFUSED else "x",
            )
    for text in ("01", "00", "+1", "0x1", "1_0", ".5", "1.", "--1"):
        value = f'{{"dtype":"U8","shape":[{text}],"data_offsets":[0,1]}}'
        yield one(f"number {text}", b.raw("a", value), data=1)


def duplicates() -> Iterator[Case]:
    yield one("tensor twice", f'{{"a":{GOOD},"a":{GOOD}}}', says="twice")
    yield one("tensor twice by escape", f'{{"a":{GOOD},"\\u0061":{GOOD}}}', says="twice")
    yield one(
        "metadata twice", f'{{"__metadata__":{{}},"a":{GOOD},"__metadata__":{{}}}}', says="twice"
    )
    yield one("metadata key twice", '{"__metadata__":{"a":"1","a":"2"}}', says="twice", data=0)
    for field in ("dtype", "shape", "data_offsets", "x"):
        parts = json.loads(GOOD) | {"x": 1}
        value = GOOD[:-1] + f',"x":1,"{field}":{json.dumps(parts[field])}}}'
        yield one(f"field {field} twice", b.raw("a", value), says="twice")


def texts() -> Iterator[Case]:
    for name, text in {
        "lone high surrogate": "\\ud800",
        "lone low surrogate": "\\udc00",
        "surrogates reversed": "\\udc00\\ud800",
    }.items():
        yield one(f"{name} in a name", b.raw(text, GOOD), says="surrogate")
        yield one(
            f"{name} in metadata", f'{{"__metadata__":{{"a":"{text}"}}}}', says="surrogate", data=0
        )
        value = GOOD.replace('"F32"', f'"{text}"')
        yield one(f"{name} in a type", b.raw("a", value), says="surrogate")
    yield one("surrogate pair", b.raw("\\ud83d\\ude00", GOOD), ACCEPTED)
    for bad in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3"):
        yield one(f"{bad!r} in a name", b'{"a' + bad + b'":' + GOOD.encode() + b"}", says="UTF-8")
        yield one(
            f"{bad!r} in a type", b'{"a":' + GOOD.encode().replace(b"F32", bad) + b"}", says="UTF-8"
        )
    for name, text in ODD_TEXTS.items():
        answer = ACCEPTED if text.isprintable() else NOTED
        yield one(f"{name} in a name", b.raw(json.dumps(text)[1:-1], GOOD), answer, "printed")
    for control in ("\n", "\t", "\0", "\x1f"):
        yield one(f"bare {control!r} in a name", b.raw(f"a{control}", GOOD), says="control")
    for escape in ("\\x41", "\\u12", "\\", "\\u00g0", "\\'"):
        yield one(f"escape {escape}", b.raw(f"a{escape}", GOOD))
    yield one("empty name", b.raw("", GOOD), NOTED, "empty")
    yield one("name of 65,000 bytes", b.raw("a" * 65_000, GOOD), ACCEPTED)
    yield one("name of 65,536 bytes, quotes included", b.raw("a" * 65_534, GOOD), ACCEPTED)
    yield one("name of a byte more", b.raw("a" * 65_535, GOOD), says="65,537 bytes long")
    yield one("name of 66,000 bytes", b.raw("a" * 66_000, GOOD), says="bytes long")


def metadata() -> Iterator[Case]:
    for value in ("1", "null", "true", "[]", "{}", '["a"]', "1.5"):
        yield one(
            f"metadata value {value}", f'{{"__metadata__":{{"a":{value}}}}}', says="string", data=0
        )
    for value in ("[]", "1", '"a"', "null", "true"):
        yield one(f"metadata {value}", f'{{"__metadata__":{value}}}', data=0)
    for name, value in {
        "none": "{}",
        "one": '{"format":"pt"}',
        "long": '{"a":"' + "x" * 5_000 + '"}',
    }.items():
        yield one(f"metadata with {name}", f'{{"__metadata__":{value}}}', ACCEPTED, data=0)
