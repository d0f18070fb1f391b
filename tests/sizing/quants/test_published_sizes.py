"""Sizes of published GGUF files, from a catalog model's shape and the file type alone.

`tests/recorded/file_sizes/gguf.json` holds the files and where their sizes were listed. A size is
the tensor data, the list of tensors (both predicted to the byte) and the tokenizer, whose bytes are
allowed for: they are measured on one file per tokenizer (`TOKENIZERS`), which is then not judged.

Not judged are files that today's `llama-quantize` would make differently from the model's shape.
The first four reasons are rules about the file, whatever its error; the others are facts about a
repository. The last test shows what each is worth:

- Q2_K of 2023: other tensors got more bits, and so they did in two mixes of 80-layer models;
- an expert a tensor: so Mixtral was published before 2024-04, and the rules for eight experts did
  not hold for the mixes then;
- fused query-key-value (phi-3, falcon): such matrices had rules of their own before they became
  attention values;
- tied embedding: not taken for the output matrix before 2024-04, gemma's not before 2024-03;
- second embedding: the file keeps an output matrix although the model's is tied (a publisher's own
  conversion, a fine-tune saved with both).

The repositories fall into two halves by a hash of their names; the rules above were settled on one
half before the other was looked at.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import pytest

from whatfits.sizing.architectures import spec_from_config
from whatfits.sizing.catalog.lookup import find_model
from whatfits.sizing.quants.file_types import find_file_type

if TYPE_CHECKING:
    from whatfits.sizing.model import ModelSpec

RECORDED = Path(__file__).parents[2] / "recorded" / "file_sizes" / "gguf.json"
# Tokenizer → (file it is measured on, models that share it).
TOKENIZERS = {
    "llama-2": ("TheBloke/vicuna-7B-v1.5-GGUF", ("llama-2", "codellama", "mistral-7b", "mixtral")),
    "phi-3": ("bartowski/Phi-3.1-mini-128k-instruct-GGUF", ("phi-3",)),
    "llama-3": ("second-state/Meta-Llama-3.1-8B-GGUF", ("llama-3",)),
    "qwen2": (
        "lmstudio-community/Qwen2.5-0.5B-Instruct-GGUF",
        ("qwen2", "qwen3-", "qwq", "deepseek-r1-distill-qwen"),
    ),
    "gemma": ("bartowski/gemma-2-2b-it-GGUF", ("gemma",)),
    "smollm2": ("lmstudio-community/SmolLM2-135M-Instruct-GGUF", ("smollm2",)),
    "granite": ("lmstudio-community/granite-3.1-2b-instruct-GGUF", ("granite",)),
    "starcoder2": ("second-state/StarCoder2-7B-GGUF", ("starcoder2",)),
    "falcon3": ("mradermacher/Falcon3-10B-Base-i1-GGUF", ("falcon3",)),
    "falcon-mamba": ("bartowski/falcon-mamba-7b-GGUF", ("falcon-mamba",)),
}
MEASURED_AT = ("Q8_0", "Q6_K")  # uniform: nothing a mixing rule could move
LARGEST_TOKENIZER = 10_000_000
FUSED_QKV = {"phi3", "falcon"}
MIXES = {"Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_M"}
# Published without the block that predicts a second token.
WITHOUT_PREDICTION = {"qwen3.5-4b"}
SINGULAR = {
    "Qwen/Qwen2.5-0.5B-Instruct-GGUF": "second embedding",
    "bartowski/granite-3.0-2b-instruct-GGUF": "second embedding",
    "second-state/Llama-3.2-3B-Instruct-Uncensored-GGUF": "second embedding",
    "brittlewis12/gemma-7b-GGUF": "tied embedding",
}


@dataclass(frozen=True)
class PublishedFile:
    model: str
    repo: str
    file_type: str
    n_bytes: int
    imatrix: bool
    date: str | None

    @property
    def of_2023(self) -> bool:
        """Made before the mixes changed in 2024-02; TheBloke's last upload was in 2024-01."""
        return self.repo.startswith("TheBloke/") or (self.date or "9") < "2024-02"

    @property
    def held_out(self) -> bool:
        return bool(int(hashlib.sha256(self.repo.encode()).hexdigest(), 16) % 2)

    @property
    def tokenizer(self) -> str | None:
        found = [name for name, (_, models) in TOKENIZERS.items() if self.model.startswith(models)]
        return found[0] if found else None

    def spec(self) -> ModelSpec:
        return _spec(self.model, self.file_type, imatrix=self.imatrix)

    def without_tokenizer(self) -> int:
        """Return tensor data and the list of tensors: name, dimensions, type and offset each."""
        spec = self.spec()
        infos = sum(8 + len(t.name) + 4 + 8 * len(t.shape) + 4 + 8 for t in spec.tensors)
        assert spec.file_bytes is not None
        return spec.file_bytes + infos


@cache
def _spec(model: str, file_type: str, *, imatrix: bool) -> ModelSpec:
    return spec_from_config(
        find_model(model).config,
        name=model,
        source="catalog",
        file_type=file_type,
        imatrix=imatrix or find_file_type(file_type).wants_imatrix,
    )


def _read() -> list[PublishedFile]:
    rows: list[dict[str, Any]] = json.loads(RECORDED.read_text())["rows"]
    return [
        PublishedFile(row["model"], row["repo"], kind, size, row["imatrix"], row["date"])
        for row in rows
        for kind, size in row["bytes"].items()
    ]


FILES = _read()


@cache
def tokenizer_bytes(name: str) -> int:
    repo, _ = TOKENIZERS[name]
    (file,) = (f for f in FILES if f.repo == repo and f.file_type == reference_type(name))
    return file.n_bytes - file.without_tokenizer()


def reference_type(name: str) -> str:
    repo, _ = TOKENIZERS[name]
    there = {file.file_type for file in FILES if file.repo == repo}
    return next(kind for kind in MEASURED_AT if kind in there)


def since_changed(file: PublishedFile) -> str | None:
    """Return why today's `llama-quantize` makes another file; None when it makes this one."""
    spec = file.spec()
    if file.of_2023 and file.file_type == "Q2_K":
        return "Q2_K of 2023"
    if file.of_2023 and spec.n_layers == 80 and file.file_type in {"Q3_K_M", "Q4_K_S"}:
        return "80 layers in 2023"
    early = file.of_2023 or (file.date or "9") < "2024-04"
    if early and spec.hparams.n_expert and file.file_type in MIXES:
        return "an expert a tensor"
    if spec.architecture in FUSED_QKV and (
        file.file_type in MIXES or file.file_type.startswith("I")
    ):
        return "fused query-key-value"
    tied = not any(tensor.name == "output.weight" for tensor in spec.tensors)
    if early and tied and spec.architecture != "gemma" and file.file_type not in MEASURED_AT:
        return "tied embedding"
    return SINGULAR.get(file.repo)


def is_reference(file: PublishedFile) -> bool:
    assert file.tokenizer is not None
    repo, _ = TOKENIZERS[file.tokenizer]
    return file.repo == repo and file.file_type == reference_type(file.tokenizer)


WITH_TOKENIZER = [file for file in FILES if file.tokenizer is not None]
JUDGED = [f for f in WITH_TOKENIZER if not is_reference(f) and since_changed(f) is None]
MADE_OTHERWISE = [f for f in WITH_TOKENIZER if since_changed(f) is not None]


def relative_error(file: PublishedFile) -> float:
    assert file.tokenizer is not None
    return (file.without_tokenizer() + tokenizer_bytes(file.tokenizer)) / file.n_bytes - 1


def test_a_fair_part_of_the_files_is_judged_and_half_of_it_was_not_looked_at() -> None:
    assert len(JUDGED) >= 400
    assert sum(file.held_out for file in JUDGED) >= 150
    assert len(JUDGED) >= 4 * len(MADE_OTHERWISE)
    assert len({file.file_type for file in JUDGED}) >= 25


def table(files: list[PublishedFile]) -> str:
    lines = [f"{'model':28} {'files':>5} {'median':>9} {'worst':>9}"]
    for model in sorted({file.model for file in files}):
        errors = [relative_error(file) for file in files if file.model == model]
        worst = max(errors, key=abs)
        lines.append(f"{model:28} {len(errors):5} {median(errors):+9.4%} {worst:+9.4%}")
    return "\n".join(lines)


@pytest.mark.parametrize("held_out", [False, True], ids=["looked at", "held out"])
def test_the_size_is_right_within_a_two_thousandth_at_the_median(held_out: bool) -> None:
    files = [file for file in JUDGED if file.held_out == held_out]
    errors = sorted(abs(relative_error(file)) for file in files)
    print(f"\n{table(files)}")
    print(f"median {median(errors):.5%}, p95 {quantiles(errors, n=20)[-1]:.5%}")
    assert median(errors) <= 0.0005
    assert quantiles(errors, n=20)[-1] <= 0.005


@pytest.mark.parametrize(
    "repo", sorted({file.repo for file in JUDGED if not (file.of_2023 and "mixtral" in file.model)})
)
def test_what_is_left_of_a_size_is_the_same_in_every_file_of_a_repository(repo: str) -> None:
    # The tokenizer and the metadata. F16, BF16 and F32 files lack the two keys (256 to 288 bytes)
    # that `llama-quantize` adds, an importance matrix adds four more. Mixtral is left out: its
    # routers were stored in 16 bits in 2023, 2 MB less.
    left = {f.file_type: f.n_bytes - f.without_tokenizer() for f in JUDGED if f.repo == repo}
    assert max(left.values()) - min(left.values()) <= 2048, left
    assert 0 < min(left.values()) < LARGEST_TOKENIZER


def size_known(file: PublishedFile) -> bool:
    """Whether what comes before the data can be told from the data by the file's length."""
    return since_changed(file) is None and not (file.of_2023 and "mixtral" in file.model)


@pytest.mark.parametrize("held_out", [False, True], ids=["looked at", "held out"])
def test_a_file_nobody_has_made_has_the_size_foreseen_with_its_tokenizer(held_out: bool) -> None:
    # The bytes a token has before the data were taken from the half that was looked at.
    files = [f for f in FILES if f.held_out == held_out and size_known(f)]
    per_token, errors = [], []
    for file in files:
        spec = file.spec()
        assert spec.file_range is not None
        low, expected, high = spec.file_range
        if file.model in WITHOUT_PREDICTION:
            assert file.n_bytes < low
            continue
        assert low < file.n_bytes < high, file
        per_token.append((file.n_bytes - file.without_tokenizer()) / spec.hparams.n_vocab)
        errors.append(expected / file.n_bytes - 1)
    print(
        f"\n{len(errors)} files: {min(per_token):.2f} to {max(per_token):.2f} bytes a token; error "
        f"median {median(map(abs, errors)):.4%}, {min(errors):+.3%} to {max(errors):+.3%}"
    )
    assert len(errors) >= 200
    assert median(map(abs, errors)) <= 0.001
    assert max(map(abs, errors)) <= 0.01


def test_files_made_otherwise_are_off_by_more_than_a_header_for_each_reason() -> None:
    off: dict[str, list[float]] = {}
    for file in MADE_OTHERWISE:
        reason = since_changed(file)
        assert reason is not None
        off.setdefault(reason, []).append(abs(relative_error(file)))
    for reason, errors in off.items():
        print(f"{reason:24} {len(errors):3} files, median {median(errors):.2%}")
        assert median(errors) > 0.0015, reason


@pytest.mark.parametrize(
    ("model", "file_type", "gib", "digits"),
    [
        # What llama-bench prints, tensor data in GiB: geerlingguy/ai-benchmarks (47 rows agree),
        # ghost91-/llama-bench, lhl/strix-halo-testing.
        ("gpt-oss-20b", "MXFP4_MOE", 11.27, 2),
        ("gpt-oss-120b", "MXFP4_MOE", 59.02, 2),
        ("gpt-oss-120b", "F16", 60.868, 3),
    ],
)
def test_gpt_oss_keeps_its_native_experts_in_every_file(
    model: str, file_type: str, gib: float, digits: int
) -> None:
    spec = _spec(model, file_type, imatrix=False)
    assert round(spec.tensor_bytes / 2**30, digits) == gib
    experts = {tensor.type for tensor in spec.tensors if "_exps.weight" in tensor.name}
    assert experts == {"MXFP4"}
