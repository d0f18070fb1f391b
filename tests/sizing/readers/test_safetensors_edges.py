"""Every limit of a safetensors header at its edge: what is just taken, and what just is not."""

from __future__ import annotations

import json
import struct

import pytest
import safetensors_builder as b

from whatfits.sizing.errors import MalformedFileError
from whatfits.sizing.readers import safetensors
from whatfits.sizing.readers.safetensors import StoredTensor, read_safetensors_header

ODD_NAME = "name that is empty or cannot be printed"


def refusal(data: bytes, **options: bool) -> MalformedFileError:
    with pytest.raises(MalformedFileError) as caught:
        read_safetensors_header(data, **options)
    return caught.value


def of(entries: dict[str, object], data_bytes: int = 0, **written: str) -> bytes:
    """Return a file with these entries; `written` ones stand as they are."""
    parts = [f"{json.dumps(name)}:{json.dumps(entry)}" for name, entry in entries.items()]
    parts += [f'"{name}":{text}' for name, text in written.items()]
    return b.with_header("{" + ",".join(parts) + "}", bytes(data_bytes))


def usual(shape: str, start: object, end: object, dtype: str = "U8") -> str:
    """Return an entry as writers write it."""
    return f'{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{start},{end}]}}'


# the length


@pytest.mark.parametrize("n", range(9))
def test_a_file_has_at_least_its_length_and_an_empty_object(n: int) -> None:
    whole = b.with_header("{}")
    assert read_safetensors_header(whole).tensors == ()
    error = refusal(whole[:n])
    assert error.offset_bytes == n
    if n < 8:
        assert f"the file ends after {n} of 8 bytes" in str(error)
    else:
        assert "the file ends 2 bytes early" in str(error)
        assert "allowed: a header of 2 bytes" in str(error)


@pytest.mark.parametrize("length", [0, 1])
def test_a_header_shorter_than_an_empty_object_is_none(length: int) -> None:
    error = refusal(b.with_header("{}", length=length))
    assert f"is {length} bytes; allowed: 2 to 16,777,216" in str(error)
    assert error.offset_bytes == 0


def test_a_header_may_be_as_long_as_the_limit_and_no_longer() -> None:
    longest = 16 * 2**20
    assert read_safetensors_header(b.with_header("{}".ljust(longest))).tensors == ()
    assert "is 16,777,217 bytes" in str(refusal(struct.pack("<Q", longest + 1)))


def test_a_header_begins_with_a_brace_and_ends_with_its_object() -> None:
    error = refusal(b.with_header(" {}"))
    assert "header at byte 8: starts with b' {}'; allowed: '{'" in str(error)
    assert "starts with b'[{\"a'" in str(refusal(b.with_header('[{"a":1}]')))
    assert read_safetensors_header(b.with_header("{} \n")).tensors == ()
    error = refusal(b.with_header("{} x"))
    assert "goes on after its object" in str(error)
    assert error.offset_bytes == 11


# names and counts


def test_a_header_has_up_to_131072_tensors() -> None:
    """They are counted before any of them is read."""
    most = b"{" + b'"data_offsets"' * 131_072
    assert "mark after 'data_offsets'" in str(refusal(b.with_header(most)))
    error = refusal(b.with_header(most + b'"data_offsets"'))
    assert "header at byte 8: has 131,073 tensors; allowed: up to 131,072" in str(error)


@pytest.mark.parametrize(("name", "odd"), [("a", False), ("", True), ("a\n", True), ("ü", False)])
def test_a_name_that_is_empty_or_cannot_be_printed_is_noted(name: str, odd: bool) -> None:
    header = read_safetensors_header(of({name: b.entry("U8", (1,))}, 1))
    assert header.tensors[0].name == name
    assert [line.split(": ")[0] for line in header.findings] == [ODD_NAME] * odd


def test_a_name_is_given_once() -> None:
    entry = usual("0", 0, 0)
    error = refusal(b.with_header(f'{{"a":{entry},"a":{entry}}}'))
    assert "key 'a'" in str(error)
    assert "is given twice" in str(error)
    error = refusal(b.with_header('{"__metadata__":{"k":"","k":""}}'))
    assert "__metadata__ key 'k'" in str(error)


def test_metadata_is_told_and_is_no_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    header = read_safetensors_header(b.safetensors({"a": ("U8", (1,))}, {"k": "v", "": ""}))
    assert header.metadata == {"k": "v", "": ""}
    assert [tensor.name for tensor in header.tensors] == ["a"]
    monkeypatch.setattr(safetensors, "_MAX_METADATA_SHOWN", 2)
    metadata = {"a": "1", "b": "2" * 1_024, "c": "3", "d": "4"}
    header = read_safetensors_header(b.safetensors({"a": ("U8", (1,))}, metadata))
    assert header.metadata == {"a": "1", "c": "3"}


def test_what_is_no_text_is_no_metadata() -> None:
    assert "is no string" in str(refusal(b.with_header('{"__metadata__":{"k":1}}')))


# entries


@pytest.mark.parametrize("blank", ["", " "])
def test_an_entry_is_read_alike_in_every_spelling(blank: str) -> None:
    """As writers write it, with more blanks, in another order, with a field that nobody knows."""
    mark = f":{blank}"
    plain = (
        f'{{"dtype"{mark}"F16",{blank}"shape"{mark}[2,{blank}3],{blank}'
        f'"data_offsets"{mark}[0,{blank}12]}}'
    )
    turned = f'{{"shape"{mark}[2,  3],"data_offsets"{mark}[0,12],  "dtype"{mark}"F16"}}'
    for text in (plain, turned, plain.replace("{", "{  ")):
        header = read_safetensors_header(of({}, 12, t=text))
        assert header.tensors == (StoredTensor("t", "F16", (2, 3), 0, 12),)
        assert header.findings == ()
    more = read_safetensors_header(of({}, 12, t=plain.replace("}", ',"x":1}')))
    assert more.tensors == header.tensors
    assert more.findings == ("field that the format does not have: 'x'",)


@pytest.mark.parametrize(
    ("shape", "start", "end"), [("01", 0, 1), ("1,01", 0, 1), ("1", "00", 1), ("1", 0, "01")]
)
def test_a_number_with_a_nought_in_front_is_no_json(shape: str, start: object, end: object) -> None:
    data = of({}, 1, t=usual(shape, start, end))
    error = refusal(data)
    assert "is no JSON" in str(error)
    assert error.offset_bytes == data.index(b"00" if start == "00" else b"01", 8) + 1
    assert read_safetensors_header(of({}, 1, t=usual("1", 0, 1))).tensor_bytes == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dtype": None}, "dtype of 't' at byte 13: is missing or no string"),
        ({"dtype": 1}, "dtype of 't' at byte 13: is missing or no string"),
        ({"shape": None}, "shape of 't' at byte 13: is missing or no list"),
        ({"data_offsets": None}, "data_offsets of 't' at byte 13: is missing or no list"),
        ({"data_offsets": [0]}, "data_offsets of 't' at byte 13: has 1 numbers; allowed: 2"),
        ({"data_offsets": [0, 1, 1]}, "data_offsets of 't' at byte 13: has 3 numbers"),
        ({"data_offsets": [-1, 0]}, "data_offsets of 't' at byte 13: has -1"),
        ({"data_offsets": [0, 2**64]}, "has 18446744073709551616"),
        ({"shape": [True]}, "shape of 't' at byte 13: has True"),
        ({"shape": [1.0]}, "shape of 't' at byte 13: has 1.0"),
    ],
)
def test_a_field_that_is_missing_or_of_another_kind_is_refused_by_name(
    change: dict[str, object], says: str
) -> None:
    entry = {
        key: value for key, value in (b.entry("U8", (1,)) | change).items() if value is not None
    }
    assert says in str(refusal(of({"t": entry}, 1)))


def test_what_is_no_object_is_no_tensor() -> None:
    error = refusal(of({"t": [1]}))
    assert "tensor 't' at byte 13: is no object" in str(error)
    assert "tensor 't' at byte 15: is no object" in str(refusal(b.with_header('{"t":  [1]}')))
    holding = b.with_header('{"t": ' + usual("1", 0, 2) + "}", bytes(2))
    assert "data_offsets of 't' at byte 14: hold 2 bytes" in str(refusal(holding))


def test_a_shape_may_have_sixteen_dimensions_each_of_64_bits() -> None:
    widest = [0, 2**64 - 1] + [1] * 14
    header = read_safetensors_header(of({"t": b.entry("U8", widest, 0, 0)}))
    assert header.tensors[0].shape == tuple(widest)
    error = refusal(of({"t": b.entry("U8", [0] * 17, 0, 0)}))
    assert "shape of 't' at byte 13: has 17 numbers; allowed: up to 16" in str(error)
    assert "has 18446744073709551616" in str(refusal(of({"t": b.entry("U8", [0, 2**64], 0, 0)})))


# sizes


def test_offsets_end_where_they_begin_or_after() -> None:
    assert read_safetensors_header(of({}, 0, t=usual("0", 0, 0))).tensor_bytes == 0
    error = refusal(of({}, 1, a=usual("1", 0, 1), t=usual("0", 1, 0)))
    assert "data_offsets of 't'" in str(error)
    assert "end at 0 before they begin at 1" in str(error)


@pytest.mark.parametrize(("end", "right"), [(5, False), (6, True), (7, False)])
def test_offsets_hold_what_type_and_shape_make(end: int, right: bool) -> None:
    data = of({}, end, t=usual("1,3", 0, end, "BF16"))
    if right:
        assert read_safetensors_header(data).tensor_bytes == 6
    else:
        assert f"hold {end} bytes; allowed: 6, as BF16 and the shape make" in str(refusal(data))


def test_a_tensor_has_whole_bytes_and_fewer_bits_than_64_bits_count() -> None:
    assert read_safetensors_header(of({}, 1, t=usual("2", 0, 1, "F4"))).tensor_bytes == 1
    assert "makes 12 bits of F4" in str(refusal(of({}, 2, t=usual("3", 0, 2, "F4"))))
    largest = 2**61 - 1
    error = refusal(of({}, 0, t=usual(str(largest), 0, largest)))
    assert error.field == "tensor data"
    assert error.reason == f"the file ends {largest:,} bytes early"
    error = refusal(of({}, 0, t=usual(str(2**61), 0, 2**61)))
    assert f"makes {2**61:,} elements; allowed: below 2^64 bits" in str(error)


def test_of_a_type_nobody_knows_the_offsets_say_the_size() -> None:
    header = read_safetensors_header(of({}, 5, t=usual("7", 0, 5, "F99")))
    assert header.tensors == (StoredTensor("t", "F99", (7,), 0, 5),)
    assert header.findings == ("type that is not known; its bytes are those of its offsets: 'F99'",)


# the data


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (0, "starts at 0 and overlaps another; allowed: 2"),
        (1, "starts at 1 and overlaps another; allowed: 2"),
        (2, ""),
        (3, "starts at 3 and leaves a hole before it; allowed: 2, where the one before ends"),
    ],
)
def test_tensors_lie_one_behind_the_other_without_a_hole(start: int, says: str) -> None:
    for first, second in (("a", "b"), ("b", "a")):
        entries = {first: b.stored("U8", (2,), 0, 2), second: b.stored("U8", (3,), start, 3)}
        for order in (entries, dict(reversed(entries.items()))):
            data = of(order, 6)
            if not says:
                assert read_safetensors_header(data).tensor_bytes == 5
                continue
            error = refusal(data)
            assert says in str(error)
            assert error.offset_bytes == 8


def test_the_first_tensor_lies_where_the_data_begins() -> None:
    error = refusal(of({"a": b.stored("U8", (1,), 1, 1)}, 2))
    assert "starts at 1 and leaves a hole before it; allowed: 0" in str(error)


def test_empty_tensors_may_lie_anywhere_between_others() -> None:
    entries = {
        "empty": b.stored("U8", (0,), 2, 0),
        "last": b.stored("U8", (1,), 2, 1),
        "first": b.stored("U8", (2,), 0, 2),
    }
    assert read_safetensors_header(of(entries, 3)).tensor_bytes == 3


@pytest.mark.parametrize(
    ("n_bytes", "said"),
    [
        (2, "tensor data incomplete: 2 bytes missing at the end of the file"),
        (3, "tensor data incomplete: 1 bytes missing at the end of the file"),
        (4, ""),
        (5, "1 bytes after the last tensor"),
        (6, "2 bytes after the last tensor"),
    ],
)
def test_a_file_ends_with_its_last_tensor(n_bytes: int, said: str) -> None:
    data = of({"a": b.stored("U8", (4,), 0, 4)}, n_bytes)
    header = read_safetensors_header(data, allow_missing_data=True)
    assert header.findings == ((said,) if said else ())
    assert header.file_bytes == len(data)
    assert header.data_offset_bytes == len(data) - n_bytes
    if n_bytes >= 4:
        assert read_safetensors_header(data) == header
        return
    error = refusal(data)
    assert str(error) == (
        f"malformed safetensors: tensor data at byte {len(data)}: the file ends {4 - n_bytes} "
        f"bytes early; allowed: {len(data) + 4 - n_bytes} bytes in all; "
        "check that the download finished"
    )
