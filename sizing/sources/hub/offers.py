"""The GGUF files of a repository, put in order: models by file type, and what goes with them; pure.

A split model is one offer. Projectors (mmproj), importance matrices and LoRA adapters are apart:
they are no models. Names are what people write, so that a label in one is only believed as far as
choosing goes; what a file is, its header says.
"""

from __future__ import annotations

import re
from functools import cache

from whatfits.sizing.errors import UnknownFileTypeError
from whatfits.sizing.quants.file_types import FILE_TYPES, find_file_type
from whatfits.sizing.quants.ggml_types import GGML_TYPES
from whatfits.sizing.sources.split_gguf import MAX_FILES as MAX_SPLIT_FILES
from whatfits.sizing.sources.split_gguf import parse_split_name
from whatfits.sizing.typed import TYPE_CHECKING
from whatfits.sizing.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from whatfits.sizing.sources.hub.listing import RepositoryFile

__all__ = ["Offer", "Offers", "label_in", "label_of", "sort_files"]

_SUFFIX: Final = ".gguf"
_PROJECTOR: Final = "mmproj"
_IMPORTANCE: Final = "imatrix"
_ADAPTERS: Final = frozenset({"lora", "adapter"})
_FLOATS: Final = frozenset({"F32", "F16", "BF16"})
_LABEL: Final = re.compile(
    r"(?<![A-Za-z0-9])(?P<ud>UD[-_])?(?P<rest>I?Q[1-8](?:_[A-Z0-9]{1,3}){0,3}|TQ[12]_0"
    r"|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_NEVER_STORED: Final = frozenset({"Q8_1", "Q8_K"})  # of activations; as labels they mean Q8_0
_SAME: Final = {"FP16": "F16", "FP32": "F32", "MXFP4": "MXFP4_MOE"}


@dataclass(frozen=True, slots=True)
class Offer:
    """One model that a repository offers.

    Attributes:
        label: file type as its name says it, `Q4_K_M` or `UD-Q4_K_XL`; None when it says none.
        paths: its files, in order.
        size_bytes: their lengths together; None when the listing does not say.
        missing: files of a split model that the repository lacks.
    """

    label: str | None
    paths: tuple[str, ...]
    size_bytes: int | None
    missing: int = 0

    @property
    def file_type(self) -> str | None:
        """File type whose published rules the label follows; None when it follows none."""
        return self.label if self.label in FILE_TYPES else None

    @property
    def nominal_bits_per_weight(self) -> float | None:
        """Bits a weight of the label's main storage type; None without a label that says so."""
        return None if self.label is None else _bits_of(self.label)

    @property
    def shown(self) -> str:
        """What to call it in a list: its label, or the file."""
        return self.label or self.paths[0]


@dataclass(frozen=True, slots=True)
class Offers:
    """The GGUF files of a repository.

    Attributes:
        models: largest first.
        projectors: vision or audio towers that go with a model.
        adapters: LoRA adapters.
    """

    models: tuple[Offer, ...]
    projectors: tuple[RepositoryFile, ...]
    adapters: tuple[RepositoryFile, ...]

    @property
    def complete(self) -> tuple[Offer, ...]:
        """The models of which no file is missing."""
        return tuple(offer for offer in self.models if not offer.missing)


def sort_files(files: Iterable[RepositoryFile]) -> Offers:
    """Return the GGUF files in order."""
    sets: dict[str, list[RepositoryFile]] = {}
    projectors, adapters = [], []
    for file in files:
        folder, name = _parted(file.path)
        lower = name.lower()
        if not lower.endswith(_SUFFIX) or _IMPORTANCE in lower:
            continue
        if _PROJECTOR in lower:
            projectors.append(file)
        elif _is_adapter(name):
            adapters.append(file)
        else:
            split = parse_split_name(name)
            key = f"{folder}/{split.prefix} × {split.n_files}" if split else file.path
            sets.setdefault(key, []).append(file)
    models = sorted((_offer(files) for files in sets.values()), key=_largest_first)
    return Offers(tuple(models), tuple(projectors), tuple(adapters))


def label_in(text: str) -> str | None:
    """Return the file type in a file's name, in its usual spelling; the last one counts."""
    found = next(reversed(list(_LABEL.finditer(text))), None)
    return None if found is None else _spelt(found)


def label_of(text: str) -> str | None:
    """Return the file type that a text is, in its usual spelling; None when it is more."""
    found = _LABEL.fullmatch(text)
    return None if found is None else _spelt(found)


def _spelt(found: re.Match[str]) -> str:
    rest = found["rest"].upper()
    return f"UD-{rest}" if found["ud"] else _SAME.get(rest, rest)


def _parted(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name


def _is_adapter(name: str) -> bool:
    """Whether a file is an adapter: it says so, and its label is none that only models have."""
    words = re.split(r"[-_.]", name.lower())
    return bool(_ADAPTERS.intersection(words)) and label_in(name) in {None, *_FLOATS}


def _offer(files: list[RepositoryFile]) -> Offer:
    folder, name = _parted(files[0].path)
    split = parse_split_name(name)
    stem = split.prefix if split else name[: -len(_SUFFIX)]
    sizes = [file.size_bytes for file in files]
    count = split.n_files if split and split.n_files <= MAX_SPLIT_FILES else len(files)
    return Offer(
        label=label_in(stem) or label_in(_parted(folder)[1]),
        paths=tuple(file.path for file in files),
        size_bytes=sum(size for size in sizes if size is not None) if None not in sizes else None,
        missing=count - len(files),
    )


def _largest_first(offer: Offer) -> tuple[int, tuple[str, ...]]:
    return -(offer.size_bytes or 0), offer.paths


def _bits_of(label: str) -> float | None:
    """Return the bits a weight of a label's main storage type.

    Labels of no published rule begin with that of their main type: UD-Q4_K_XL, Q4_K_XL, Q8_0_L.
    """
    name = label.removeprefix("UD-")
    known = FILE_TYPES.get(name) or FILE_TYPES.get(name.removesuffix("_XL"))
    if known is not None:
        return known.nominal_bits_per_weight
    words = name.split("_")
    for count in range(len(words), 0, -1):
        kind = GGML_TYPES.get("_".join(words[:count]))
        if kind is not None and kind.name not in _NEVER_STORED:
            return kind.bits_per_weight
    return _bits_of_family(words[0])


@cache
def _bits_of_family(word: str) -> float | None:
    """Return those of what people mean by `Q4` alone; there are few such words."""
    try:
        return find_file_type(word).nominal_bits_per_weight
    except UnknownFileTypeError:
        return None
