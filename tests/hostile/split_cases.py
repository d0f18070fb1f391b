"""G14: sets of GGUF files that do not belong together, or lead out of their folder.

A case is a folder: names and contents, links, and which file is named. Links to `outside/…` lead
to a folder beside it that holds sound files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import gguf_builder as b
from gguf_case import ACCEPTED, NOTED, REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

COUNT = 3
BYTES = 128
NUMBERS = (b.UINT8, b.INT8, b.UINT16, b.INT16, b.UINT32, b.INT32, b.UINT64, b.INT64)


class SetCase(NamedTuple):
    """A folder with files, and how naming one of them must be answered."""

    name: str
    files: Mapping[str, bytes]
    named: str
    answer: str
    says: str = ""
    links: Mapping[str, str] = {}

    def write(self, folder: Path) -> Path:
        """Write the folder and its neighbour; return the path that is named."""
        model, outside = folder / "model", folder / "outside"
        model.mkdir()
        outside.mkdir()
        for name, data in sound().items():
            (outside / name).write_bytes(data)
        for name, data in self.files.items():
            (model / name).write_bytes(data)
        for name, target in self.links.items():
            (model / name).symlink_to(target)
        return model / self.named


def shard(
    index: int,
    *,
    no: object = None,
    count: object = COUNT,
    total: object = COUNT,
    kinds: tuple[int, int, int] = (b.UINT16, b.UINT16, b.INT32),
    more: Sequence[bytes] = (),
    tensor: str | None = None,
) -> bytes:
    """File `index` of a set of three with one tensor each; `...` leaves a key out."""
    given = (("split.no", index if no is None else no), ("split.count", count))
    pairs = [
        b.scalar(key, kind, value)
        for (key, value), kind in zip((*given, ("split.tensors.count", total)), kinds, strict=True)
        if value is not ...
    ]
    if index == 0:
        pairs += [b.ARCHITECTURE, b.scalar("llama.block_count", b.UINT32, 2)]
    row = b.tensor(tensor or f"t{index}", (32,), b.F32)
    return b.gguf([*pairs, *more], [row], data_bytes=BYTES)


def name(number: int, count: int = COUNT, prefix: str = "m") -> str:
    return f"{prefix}-{number:05d}-of-{count:05d}.gguf"


def sound() -> dict[str, bytes]:
    """The three files of a sound set."""
    return {name(index + 1): shard(index) for index in range(COUNT)}


def _changed(label: str, index: int, data: bytes, says: str, answer: str = REFUSED) -> SetCase:
    return SetCase(label, {**sound(), name(index + 1): data}, name(1), answer, says)


def counts() -> Iterator[SetCase]:
    for count in (4_097, 65_535):
        data = shard(0, count=count)
        yield _changed(f"count {count}", 0, data, "allowed: 1 to 4,096")
    for kind, count in (
        (b.INT32, -1),
        (b.INT64, -(2**63)),
        (b.UINT64, 2**64 - 1),
        (b.UINT32, 2**31),
        (b.BOOL, True),
        (b.STRING, "3"),
        (b.FLOAT32, 3.0),
        (b.FLOAT64, float("nan")),
    ):
        data = shard(0, count=count, kinds=(b.UINT16, kind, b.INT32))
        yield _changed(f"count {count} of type {kind}", 0, data, "split.count")
    listed = b.array("split.count", b.UINT16, [3])
    yield _changed("count as an array", 0, shard(0, count=..., more=[listed]), "split.count")
    for count in (0, 1):
        alone = {name(1, 1): shard(0, count=count, total=1)}
        yield SetCase(f"count {count}, one file", alone, name(1, 1), ACCEPTED)
    for count in (2, 4, 5, 4_096):
        yield _changed(f"count {count} in names of 3", 0, shard(0, count=count), "restore the name")
    for index in (1, 2):
        for count in (1, 2, 4, 65_535):
            data = shard(index, count=count)
            label = f"count {count} in file {index + 1}"
            yield _changed(label, index, data, f"split.count: is {count}")
    for index in (1, 2):
        yield _changed(f"no count in file {index + 1}", index, shard(index, count=...), "is None")
    whole = {name(1): b.small_model()}
    yield SetCase("whole under the name of a part", whole, name(1), NOTED, "the file is whole")


def numbers() -> Iterator[SetCase]:
    for index in range(COUNT):
        for no in (0, 1, 2, 3, 255, 65_535):
            if no != index:
                data = shard(index, no=no)
                says = f"split.no: is {no}; allowed: {index}"
                yield _changed(f"file {index + 1} says {no}", index, data, says)
        yield _changed(f"no number in file {index + 1}", index, shard(index, no=...), "split.no")
    for kind, no in ((b.BOOL, True), (b.STRING, "1"), (b.INT16, -1), (b.FLOAT32, 1.5)):
        data = shard(1, no=no, kinds=(kind, b.UINT16, b.INT32))
        yield _changed(f"number {no} of type {kind}", 1, data, "split.no")
    for kind in NUMBERS:
        data = shard(1, kinds=(kind, kind, kind))
        yield _changed(f"numbers of type {kind}", 1, data, "", ACCEPTED)


def totals() -> Iterator[SetCase]:
    for index in range(COUNT):
        for total in (0, 1, 2, 4, -1, 2**31 - 1, -(2**31)):
            data = shard(index, total=total)
            says = f"split.tensors.count: is {total}"
            yield _changed(f"{total} tensors in file {index + 1}", index, data, says)
    for kind, total in ((b.BOOL, True), (b.STRING, "3"), (b.FLOAT32, 3.5), (b.UINT64, 2**64 - 1)):
        data = shard(0, total=total, kinds=(b.UINT16, b.UINT16, kind))
        yield _changed(f"{total} tensors of type {kind}", 0, data, "split.tensors.count")
    pairs = [
        b.scalar("split.count", b.UINT16, 2),
        b.scalar("split.no", b.UINT16, 0),
        b.ARCHITECTURE,
    ]
    one = [*pairs, b.scalar("split.tensors.count", b.BOOL, True)]
    none = [pairs[0], b.scalar("split.no", b.UINT16, 1)]
    two = {name(1, 2): b.gguf(one, [b.tensor("t")], data_bytes=BYTES), name(2, 2): b.gguf(none)}
    yield SetCase("one tensor, counted as true", two, name(1, 2), REFUSED, "is True; allowed: 1")
    yield _changed("no total in file 2", 1, shard(1, total=...), "", ACCEPTED)


def members() -> Iterator[SetCase]:
    for index in range(1, COUNT):
        files = sound()
        del files[name(index + 1)]
        yield SetCase(f"file {index + 1} missing", files, name(1), REFUSED, name(index + 1))
        yield _changed(f"file {index + 1} is file 1 again", index, shard(0), "split.no: is 0")
        yield _changed(f"file {index + 1} empty", index, b"", "is empty")
        yield _changed(f"file {index + 1} is a pickle", index, b"\x80\4\x95" + bytes(60), "pickle")
        yield _changed(f"file {index + 1} is whole", index, b.small_model(), "split.no: is None")
        for cut in (4, 24, 60, 100):
            data = shard(index)[:cut]
            yield _changed(f"file {index + 1} cut at {cut}", index, data, name(index + 1))
        yield _changed(
            f"file {index + 1} cut in its data", index, shard(index)[:-5], "5 bytes", NOTED
        )
    for index in (1, 2):
        twice = shard(index, tensor="t0")
        yield _changed(f"tensor of file 1 in file {index + 1}", index, twice, "tensor: is 't0'")
    files = sound()
    del files[name(1)]
    yield SetCase("first missing, second named", files, name(2), REFUSED, name(1))
    yield SetCase("renamed", {"renamed.gguf": shard(0)}, "renamed.gguf", REFUSED, "restore")
    upper = {"M-00001-OF-00003.GGUF": shard(0)}
    yield SetCase("name in capitals", upper, "M-00001-OF-00003.GGUF", REFUSED, "restore the name")


def contradictions() -> Iterator[SetCase]:
    for index in (1, 2):
        other = [b.scalar("general.architecture", b.STRING, "gemma3")]
        data = shard(index, more=other)
        yield _changed(f"file {index + 1} of another architecture", index, data, "'gemma3'")
        for kind, value in ((b.UINT32, 99), (b.STRING, "2"), (b.FLOAT64, 2.0), (b.BOOL, True)):
            data = shard(index, more=[b.scalar("llama.block_count", kind, value)])
            label = f"file {index + 1} says {value!r} layers"
            yield _changed(label, index, data, "differs between the files", NOTED)
        data = shard(index, more=[b.scalar("llama.block_count", b.UINT64, 2)])
        yield _changed(f"file {index + 1} says the same", index, data, "", ACCEPTED)
        wide = shard(index, more=[b.scalar("general.alignment", b.UINT32, 64)])
        padded = b.padded(wide, 64)
        yield _changed(f"file {index + 1} aligned to more", index, padded, "", ACCEPTED)


def links() -> Iterator[SetCase]:
    files = sound()
    first = {name(1): files[name(1)]}
    others = [name(2), name(3)]
    for target in ("../outside", "../outside/../outside", "/etc"):
        led = {n: f"{target}/{n if 'outside' in target else 'hostname'}" for n in others}
        yield SetCase(f"links to {target}", first, name(1), REFUSED, "leaves the folder", led)
    led = {n: f"../outside/{n}" for n in files}
    yield SetCase("all links to one folder", {}, name(1), ACCEPTED, "", led)
    two = {name(1): files[name(1)], name(3): files[name(3)]}
    loop = {name(2): name(2)}
    yield SetCase("a link to itself", two, name(1), REFUSED, "leads back to itself", loop)
    gone = {name(2): "gone.gguf"}
    yield SetCase("a link to nothing", two, name(1), REFUSED, "does not exist", gone)
    device = {name(2): "/dev/zero"}
    yield SetCase("a link to a device", two, name(1), REFUSED, "leaves the folder", device)
    inside = {"real.gguf": files[name(2)], **two}
    yield SetCase("a link in the folder", inside, name(1), ACCEPTED, "", {name(2): "real.gguf"})
    for prefix in ("..", "...", "-", "a b", "ü", "x" * 200, "m-00001-of-00003.gguf"):
        named = {name(i + 1, prefix=prefix): shard(i) for i in range(COUNT)}
        label = f"prefix {prefix[:24]!r}"
        yield SetCase(label, named, name(1, prefix=prefix), ACCEPTED)


CLASSES: dict[str, Callable[[], Iterator[SetCase]]] = {
    "G14 counts": counts,
    "G14 numbers": numbers,
    "G14 totals": totals,
    "G14 members": members,
    "G14 contradictions": contradictions,
    "G14 links": links,
}
