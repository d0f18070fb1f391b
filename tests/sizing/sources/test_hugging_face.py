"""`hf:org/repo` against a Hub on loopback: listings and headers, and nothing more."""

from __future__ import annotations

import json
from contextlib import ExitStack
from threading import Barrier
from threading import enumerate as enumerate_threads
from typing import TYPE_CHECKING

import pytest
from checkpoints import LLAMA, llama_tensors, n_bytes, write_config, write_sharded
from fake_hub import (
    COMMIT,
    TOKEN,
    Hub,
    OnDisk,
    Repository,
    as_json,
    hub_of,
    redirect,
    refusal,
)
from header_shapes import Shape, all_shapes

from whatfits.bench.synthetic import write_catalog_model
from whatfits.sizing import check
from whatfits.sizing.errors import (
    BadInputError,
    InvalidRequestError,
    UnknownFileTypeError,
    UnknownModelError,
    UnreadableFileError,
)
from whatfits.sizing.sources import load
from whatfits.sizing.sources.hub.headers import read_header
from whatfits.sizing.sources.hub.names import parse_hub_name
from whatfits.sizing.sources.hub.repositories import open_repository
from whatfits.sizing.sources.local_file import load_gguf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from range_server import Handler, Seen

    from whatfits.sizing.model import ModelSpec

    Serve = Callable[..., Hub]

MODEL = "smollm2-135m"
REPO = "acme/SmolLM2-135M-Instruct-GGUF"
STEM = "SmolLM2-135M-Instruct"
API = f"/api/models/{REPO}/revision/main"
FILE = f"/{REPO}/resolve/{COMMIT}/{STEM}-Q4_K_M.gguf"
VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a Hub with some repositories, for the length of the test."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "*")
    with ExitStack() as stack:

        def start(*repositories: Repository, **extra: object) -> Hub:
            hub = stack.enter_context(hub_of(*repositories, **extra))
            monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
            return hub

        yield start


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """GGUF files of one model by file type, as they are called on the Hub."""
    folder = tmp_path_factory.mktemp("gguf")
    made = {}
    for file_type in ("F16", "Q8_0", "Q4_K_M", "Q3_K_M"):
        path = folder / f"{STEM}-{file_type}.gguf"
        write_catalog_model(path, MODEL, file_type=file_type)
        made[path.name] = path
    return made


@pytest.fixture
def usual(files: Mapping[str, Path]) -> Repository:
    """A repository as quantisers publish them."""
    beside = {"README.md": b"# SmolLM2", ".gitattributes": b"*.gguf filter=lfs", "imatrix.dat": 99}
    return Repository(REPO, {**beside, **files})


def refusal_of(name: str, kind: type[BadInputError] = BadInputError, **options: str) -> str:
    with pytest.raises(kind) as caught:
        load(name, **options)
    message = str(caught.value)
    assert message.isprintable()
    return message


def tensors(spec: ModelSpec) -> set[tuple[object, ...]]:
    """What a model's tensors are, without where they lie in a file."""
    return {(t.name, t.shape, t.type, t.n_bytes, t.role, t.layer) for t in spec.tensors}


def notes(name: str) -> str:
    return " ".join(load(name).notes)


def test_the_usual_file_is_chosen_and_said_with_its_size_and_commit(
    serve: Serve, usual: Repository
) -> None:
    serve(usual)
    spec = load(f"hf:{REPO}")
    assert (spec.name, spec.file_type) == (f"{STEM}-Q4_K_M", "Q4_K_M")
    assert spec.source == f"hf:{REPO}:{STEM}-Q4_K_M.gguf"
    size = usual.size(f"{STEM}-Q4_K_M.gguf")
    assert spec.file_bytes == size
    assert "No file type was asked for: Q4_K_M, the usual balance." in spec.notes
    said = next(note for note in spec.notes if "to download" in note)
    assert said.startswith(f"{STEM}-Q4_K_M.gguf, {size:,} bytes (")
    assert said.endswith(f"of {REPO} at commit {COMMIT}.")


def test_one_listing_and_one_range_of_64_kib_are_all_that_is_asked(
    serve: Serve, usual: Repository
) -> None:
    hub = serve(usual)
    load(f"hf:{REPO}:Q8_0")
    assert [seen.target for seen in hub.hub.seen] == [
        f"/api/models/{REPO}/revision/main?blobs=true",
        f"/{REPO}/resolve/{COMMIT}/{STEM}-Q8_0.gguf",
    ]
    assert [seen.headers["range"] for seen in hub.cdn.seen] == ["bytes=0-65535"]


@pytest.mark.parametrize("shape", all_shapes()[::6], ids=lambda shape: shape.name)
def test_a_long_header_takes_one_more_range_that_reaches_its_end(
    serve: Serve, tmp_path: Path, shape: Shape
) -> None:
    path = tmp_path / "M-Q4_K_M.gguf"
    with path.open("wb") as file:
        file.write(shape.data)
        file.truncate(len(shape.data) + 2 * 10**9)
    hub = serve(Repository(REPO, {path.name: path}))
    with open_repository(parse_hub_name(f"hf:{REPO}")) as repository:
        assert read_header(repository, [path.name]) == load_gguf(path)[0]
    assert len(hub.cdn.seen) <= 2
    starts, ends = zip(*map(asked, hub.cdn.seen), strict=True)
    assert starts == (0, *(end + 1 for end in ends[:-1]))
    assert ends[-1] <= max(1.15 * len(shape.data), 65_536)


def asked(seen: Seen) -> tuple[int, int]:
    """First and last byte of a request."""
    first, last = seen.headers["range"].removeprefix("bytes=").split("-")
    return int(first), int(last)


@pytest.mark.parametrize("part", ["Q8_0", "q8", f"{STEM}-Q8_0.gguf"])
def test_a_file_type_or_a_file_names_another(serve: Serve, usual: Repository, part: str) -> None:
    serve(usual)
    assert load(f"hf:{REPO}:{part}").source == f"hf:{REPO}:{STEM}-Q8_0.gguf"
    assert load(f"hf:{REPO}", file_type=part.removesuffix(".gguf")[-4:]).file_type == "Q8_0"


def test_a_source_is_a_name_that_gives_the_same_model(serve: Serve, usual: Repository) -> None:
    serve(usual)
    spec = load(f"https://huggingface.co/{REPO}/blob/main/{STEM}-Q3_K_M.gguf")
    assert load(spec.source) == spec


def test_a_name_that_says_another_file_type_than_the_header_is_told(
    serve: Serve, files: Mapping[str, Path]
) -> None:
    q8, q4 = files[f"{STEM}-Q8_0.gguf"], files[f"{STEM}-Q4_K_M.gguf"]
    serve(Repository(REPO, {"M-Q6_K.gguf": q8, "M-Q4_K_L.gguf": q4, "M-UD-Q2_K_XL.gguf": q8}))
    spec = load(f"hf:{REPO}:Q6_K")
    assert spec.file_type == "Q8_0"
    assert "The file's name says Q6_K, its header Q8_0: the header counts." in spec.notes
    for part in ("Q4_K_L", "UD-Q2_K_XL"):
        assert "its header" not in notes(f"hf:{REPO}:{part}")


def test_a_file_type_nobody_offers_is_planned(serve: Serve, usual: Repository) -> None:
    serve(usual)
    spec = load(f"hf:{REPO}", file_type="Q5_K_M")
    assert (spec.file_type, spec.planned) == ("Q5_K_M", True)
    assert tensors(spec) == tensors(load(MODEL, file_type="Q5_K_M"))
    assert "The repository offers no Q5_K_M" in " ".join(spec.notes)
    assert "The file is F16; this is what Q5_K_M of it would take." in spec.notes


def test_the_token_goes_to_the_hub_and_never_to_the_content_network(
    serve: Serve, usual: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = serve(usual)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    spec = load(f"hf:{REPO}")
    assert {seen.headers.get("authorization") for seen in hub.hub.seen} == {f"Bearer {TOKEN}"}
    assert hub.cdn.seen
    for seen in hub.cdn.seen:
        assert "authorization" not in seen.headers
        assert TOKEN not in str(seen)
    assert TOKEN not in repr(spec)


def test_without_a_token_none_is_sent(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    load(f"hf:{REPO}")
    assert not any("authorization" in seen.headers for seen in hub.seen)


def test_a_revision_is_asked_for_by_name_and_read_at_its_commit(
    serve: Serve, files: Mapping[str, Path]
) -> None:
    commit = "f" * 40
    serve(Repository(REPO, files, revision="refs/pr/7", commit=commit))
    spec = load(f"hf:{REPO}@refs/pr/7")
    assert spec.source == f"hf:{REPO}@refs/pr/7:{STEM}-Q4_K_M.gguf"
    assert any(note.endswith(f"at commit {commit}.") for note in spec.notes)
    assert load(f"hf:{REPO}@{commit}").tensors == spec.tensors
    plan = check(f"hf:{REPO}@{commit}", machine="64gb")
    assert plan.commands["llama.cpp"][0].startswith(f"llama-server -m {STEM}-Q4_K_M.gguf -c ")


def test_the_command_lets_the_program_download_the_file_alone(
    serve: Serve, usual: Repository
) -> None:
    serve(usual)
    plan = check(f"hf:{REPO}:Q8_0", machine="64gb")
    expected = f"llama-server -hf {REPO} -hff {STEM}-Q8_0.gguf --no-mmproj -c 8192 "
    assert plan.commands["llama.cpp"][0].startswith(expected)
    planned = check(f"hf:{REPO}:Q8_0", file_type="Q2_K", machine="64gb")
    assert f"-m {STEM}-Q8_0-Q2_K.gguf" in planned.commands["llama.cpp"][0]


@pytest.mark.parametrize("page_files", [1, 2, 1_000])
def test_sizes_that_the_listing_lacks_are_read_page_by_page(
    serve: Serve, usual: Repository, page_files: int
) -> None:
    usual.has_sizes, usual.page_files = False, page_files
    hub = serve(usual)
    spec = load(f"hf:{REPO}", file_type="Q2_K")
    assert f"{STEM}-F16.gguf" in spec.source
    pages = [seen for seen in hub.hub.seen if "/tree/" in seen.target]
    assert len(pages) == -(-len(usual.tree()) // page_files)


def test_pages_without_end_are_refused(serve: Serve, usual: Repository) -> None:
    usual.has_sizes = False
    hub = serve(usual)
    tree = f"/api/models/{REPO}/tree/{COMMIT}"
    link = f'<{hub.endpoint}{tree}?recursive=true&cursor=0>; rel="next"'
    hub.hub.files[tree] = lambda handler: handler.answer(200, b"[]", Link=link)
    assert "are too many" in refusal_of(f"hf:{REPO}")


def test_a_page_on_another_host_is_not_asked_for(serve: Serve, usual: Repository) -> None:
    usual.has_sizes = False
    hub = serve(usual)
    tree = f"/api/models/{REPO}/tree/{COMMIT}"
    link = '<http://169.254.169.254/latest>; rel="next"'
    hub.hub.files[tree] = lambda handler: handler.answer(200, b"[]", Link=link)
    assert "address '" in refusal_of(f"hf:{REPO}", InvalidRequestError)


@pytest.mark.parametrize(
    "address",
    [
        *("http://169.254.169.254/latest/meta-data", "http://10.1.2.3/x", "http://[::1]/x"),
        *("https://localhost/x", "file:///etc/passwd", "//169.254.169.254/x", "http://evil.test/"),
    ],
)
def test_a_file_that_is_said_to_lie_in_a_private_place_is_not_asked_for(
    serve: Serve, usual: Repository, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    hub = serve(usual)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.hub.files[FILE] = redirect(address, usual)
    assert "is not allowed" in refusal_of(f"hf:{REPO}")
    assert hub.cdn.seen == []


def test_a_listing_without_end_is_cut_short(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    blank = b" " * 65_536

    def stream(handler: Handler) -> None:
        handler.raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for _ in range(1_024):
            handler.wfile.write(blank)

    hub.hub.files[API] = stream
    assert "sends more than" in refusal_of(f"hf:{REPO}")


def test_a_repository_that_moved_is_followed_and_said(serve: Serve, usual: Repository) -> None:
    there = f"/api/models/{REPO}/revision/main?blobs=true"
    old = "/api/models/acme-old/SmolLM2/revision/main"
    hub = serve(usual)
    hub.hub.files[old] = redirect(there, usual)
    spec = load("hf:acme-old/SmolLM2")
    assert f"The repository acme-old/SmolLM2 is now {REPO}." in spec.notes
    assert spec.source == f"hf:{REPO}:{STEM}-Q4_K_M.gguf"


def split(path: Path, folder: Path, *, prefix: str) -> dict[str, Path]:
    """Split a GGUF over three files, as llama-gguf-split does, with the project's own writer."""
    from whatfits.bench.synthetic import write_synthetic_gguf
    from whatfits.sizing.sources.local_file import load_gguf

    spec = load(str(path))
    metadata = dict(load_gguf(path)[0].metadata)
    made = {}
    for number in range(3):
        name = f"{prefix}-{number + 1:05d}-of-00003.gguf"
        part = {"split.no": number, "split.count": 3, "split.tensors.count": len(spec.tensors)}
        write_synthetic_gguf(
            folder / name,
            metadata={**metadata, **part} if number == 0 else part,
            tensors=spec.tensors[number::3],
        )
        made[name] = folder / name
    return made


def test_a_split_model_is_read_from_each_of_its_files_once(
    serve: Serve, files: Mapping[str, Path], tmp_path: Path
) -> None:
    shards = split(files[f"{STEM}-Q8_0.gguf"], tmp_path, prefix=f"{STEM}-Q8_0")
    hub = serve(Repository(REPO, {f"Q8_0/{name}": path for name, path in shards.items()}))
    spec = load(f"hf:{REPO}:Q8_0")
    assert {seen.headers["range"] for seen in hub.cdn.seen} == {"bytes=0-65535"}
    assert len(hub.cdn.seen) == 3
    local = load(str(next(iter(shards.values()))))
    assert (spec.name, spec.tensors, spec.layers) == (local.name, local.tensors, local.layers)
    total = sum(path.stat().st_size for path in shards.values())
    assert spec.file_bytes == local.file_bytes == total
    assert f"3 files, {total:,} bytes" in " ".join(spec.notes)


def test_a_split_model_with_a_file_missing_is_refused(
    serve: Serve, files: Mapping[str, Path], tmp_path: Path
) -> None:
    shards = split(files[f"{STEM}-Q8_0.gguf"], tmp_path, prefix="M-Q8_0")
    shards.popitem()
    serve(Repository(REPO, shards))
    message = refusal_of(f"hf:{REPO}", UnreadableFileError)
    assert "1 of 3 files are missing of" in message


def test_a_file_of_a_set_that_goes_by_another_name_is_refused(
    serve: Serve, files: Mapping[str, Path], tmp_path: Path
) -> None:
    shards = split(files[f"{STEM}-Q8_0.gguf"], tmp_path, prefix="M-Q8_0")
    serve(Repository(REPO, {"whole-Q8_0.gguf": next(iter(shards.values()))}))
    assert "split" in refusal_of(f"hf:{REPO}")


def test_safetensors_are_sized_as_the_gguf_they_become(serve: Serve, tmp_path: Path) -> None:
    tensors = llama_tensors()
    write_config(tmp_path)
    shards = write_sharded(tmp_path, tensors, count=3)
    names = [*(path.name for path in shards), "config.json", "model.safetensors.index.json"]
    content = {name: (tmp_path / name) for name in names}
    small = {name: path.read_bytes() for name, path in content.items() if name.endswith(".json")}
    hub = serve(Repository("acme/Tiny-Llama", {**content, **small, "README.md": b"x"}))
    spec = load("hf:acme/Tiny-Llama", file_type="Q5_K_M")
    local = load(str(tmp_path), file_type="Q5_K_M")
    assert (spec.name, spec.source, spec.planned) == ("Tiny-Llama", "hf:acme/Tiny-Llama", True)
    for field in ("architecture", "file_type", "tensors", "layers", "hparams", "parameters"):
        assert getattr(spec, field) == getattr(local, field)
    assert len(hub.cdn.seen) == 3
    said = " ".join(spec.notes)
    assert f"In the repository: {len(tensors)} tensors of {n_bytes(tensors):,} bytes" in said
    assert f"3 safetensors files, {sum(p.stat().st_size for p in shards):,} bytes" in said
    assert f"at commit {COMMIT}" in said
    assert load("hf:acme/Tiny-Llama:Q5_K_M").tensors == spec.tensors
    assert load("hf:acme/Tiny-Llama:config.json", file_type="Q5_K_M").tensors == spec.tensors
    assert load(f"hf:acme/Tiny-Llama:{names[1]}", file_type="Q5_K_M").tensors == spec.tensors


@pytest.fixture
def sharded(tmp_path: Path) -> dict[str, bytes | Path]:
    """A checkpoint over twelve files."""
    write_config(tmp_path)
    shards = write_sharded(tmp_path, llama_tensors(), count=12, index=False)
    config = (tmp_path / "config.json").read_bytes()
    return {**{path.name: path for path in shards}, "config.json": config}


def test_the_files_of_a_checkpoint_are_asked_for_at_once(
    serve: Serve, sharded: dict[str, bytes | Path]
) -> None:
    hub = serve(Repository("acme/Sharded", sharded))
    meeting = Barrier(4)
    for path in list(hub.cdn.files)[:4]:
        hub.cdn.files[path] = met(meeting, hub.cdn.files[path])
    spec = load("hf:acme/Sharded")
    assert "in 12 files" in " ".join(spec.notes)
    assert len(hub.cdn.seen) == 12
    assert not any(thread.name.startswith("whatfits") for thread in enumerate_threads())


def met(meeting: Barrier, content: OnDisk) -> Callable[[Handler], None]:
    """Return what sends a file once as many others were asked for as the meeting needs."""

    def reply(handler: Handler) -> None:
        meeting.wait(timeout=20)
        handler.file(content)

    return reply


@pytest.mark.parametrize("position", [0, 5, 11])
def test_one_file_that_is_refused_among_many_is_refused_in_one_line(
    serve: Serve, sharded: dict[str, bytes | Path], position: int
) -> None:
    hub = serve(Repository("acme/Sharded", sharded))
    name = list(sharded)[position]
    hub.hub.files[f"/acme/Sharded/resolve/{COMMIT}/{name}"] = refusal(403, "GatedRepo")
    assert "is gated" in refusal_of("hf:acme/Sharded", UnreadableFileError)


def test_a_configuration_alone_is_enough(serve: Serve) -> None:
    serve(Repository("acme/Tiny", {"config.json": json.dumps(LLAMA).encode()}))
    assert load("hf:acme/Tiny").parameters == n_bytes(llama_tensors()) // 2


def test_a_part_that_is_neither_file_nor_file_type_is_refused(serve: Serve) -> None:
    serve(Repository("acme/Tiny", {"config.json": json.dumps(LLAMA).encode()}))
    message = refusal_of("hf:acme/Tiny:nothing", UnknownModelError, file_type="Q8_0")
    assert "no file or file type 'nothing'" in message
    assert "hf:acme/Tiny" in message


def test_pickles_are_refused_with_the_reason_and_the_way_out(serve: Serve) -> None:
    serve(Repository("acme/Old", {"pytorch_model.bin": 5_000, "README.md": b"x"}))
    for name in ("hf:acme/Old", "hf:acme/Old:pytorch_model.bin"):
        message = refusal_of(name, UnreadableFileError)
        assert "runs code when it is opened" in message
        assert "use the GGUF or the safetensors files" in message


def test_a_configuration_beside_pickles_answers_and_says_that_they_stay_closed(
    serve: Serve,
) -> None:
    config = json.dumps(LLAMA).encode()
    hub = serve(Repository("acme/Old", {"pytorch_model.bin": 5_000, "config.json": config}))
    assert "runs code when it is opened" in notes("hf:acme/Old")
    assert not any("pytorch_model.bin" in seen.target for seen in hub.seen)


def test_an_adapter_in_safetensors_is_no_model(serve: Serve) -> None:
    content = {"adapter_config.json": b"{}", "adapter_model.safetensors": 5_000}
    serve(Repository("acme/Lora", content))
    assert "an adapter (LoRA), not a model" in refusal_of("hf:acme/Lora", UnreadableFileError)


def test_a_repository_without_a_model_is_refused(serve: Serve) -> None:
    parts = {"model_index.json": b"{}", "unet/config.json": b"{}", "tokenizer.json": b"{}"}
    serve(
        Repository("acme/Empty", {"README.md": b"x"}),
        Repository("acme/None", {}),
        Repository("acme/Image", parts),
    )
    for name in ("hf:acme/Empty", "hf:acme/None", "hf:acme/Image"):
        assert "no GGUF, no safetensors and no config.json" in refusal_of(name)


def test_a_projector_or_an_adapter_is_no_model(serve: Serve, usual: Repository) -> None:
    beside = {"mmproj-F16.gguf": 500, f"{STEM}-lora-f16.gguf": 400}
    serve(Repository(REPO, {**usual.content, **beside}), Repository("acme/Lora", {"lora.gguf": 9}))
    assert "add the file with --mmproj" in refusal_of(f"hf:{REPO}:mmproj-F16.gguf")
    assert "add the file with --lora" in refusal_of(f"hf:{REPO}:{STEM}-lora-f16.gguf")
    assert "is an adapter (LoRA)" in refusal_of("hf:acme/Lora")
    said = notes(f"hf:{REPO}")
    assert "projectors for images or sound (mmproj-F16.gguf)" in said
    assert f"name one with --mmproj, as hf:{REPO}:mmproj-F16.gguf." in said


def test_what_only_looks_like_a_gguf_is_named(serve: Serve) -> None:
    page = {"m-Q4_K_M.gguf": b"<!DOCTYPE html><html>" + b" " * 100}
    serve(Repository(REPO, page))
    message = refusal_of(f"hf:{REPO}", UnreadableFileError)
    assert "a web page, not the model" in message
    assert f"'hf:{REPO}:m-Q4_K_M.gguf'" in message


def test_a_file_type_that_is_not_there_is_refused_with_those_that_are(
    serve: Serve, usual: Repository
) -> None:
    serve(usual)
    message = refusal_of(f"hf:{REPO}:Q6_K", UnknownFileTypeError)
    assert "allowed: F16, Q8_0, Q4_K_M, Q3_K_M" in message


REFUSALS = {
    "gated": (FILE, 401, "GatedRepo", "Access to model is restricted", "is gated"),
    "gated, not let in": (FILE, 403, "GatedRepo", "You are not in the list", "is gated"),
    "missing or private": (API, 401, "RepoNotFound", "Repository not found", "or a private one"),
    "missing": (API, 404, "RepoNotFound", "Repository not found", "no such repository"),
    "unlabelled": (API, 401, None, "Invalid username or password.", "no such repository"),
    "no revision": (API, 404, "RevisionNotFound", "Invalid rev id", "has no revision 'main'"),
    "gone": (FILE, 404, "EntryNotFound", "Entry not found", "a file has gone"),
    "bad token": (API, 401, None, "Invalid credentials in Authorization header", "'hf auth login'"),
    "disabled": (API, 403, None, "Access to this resource is disabled.", "has disabled"),
    "forbidden": (API, 403, None, "Forbidden", "may not read"),
    "too many": (API, 429, None, "Too many requests", "try again in five minutes"),
    "in trouble": (API, 503, None, "Service unavailable", "status 503"),
    "teapot": (API, 418, None, "no", "status 418"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_refusal_is_one_line_with_a_way_out(
    serve: Serve,
    usual: Repository,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, int, str | None, str, str],
    token: str | None,
) -> None:
    path, status, code, message, expected = case
    hub = serve(usual)
    hub.hub.files[path] = refusal(status, code, message)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    said = refusal_of(f"hf:{REPO}")
    assert expected in said
    assert TOKEN not in said
    if "gated" in expected:
        assert f"{hub.endpoint}/{REPO}" in said
        assert ("your token has no access" if token else "set HF_TOKEN") in said


def test_what_the_catalog_knows_is_said_when_the_hub_refuses(serve: Serve) -> None:
    name = "meta-llama/Llama-3.1-8B-Instruct"
    content = {"config.json": b"{}", "model.safetensors": 5}
    hub = serve(Repository(name, content, gated="manual"))
    hub.hub.files[f"/{name}/resolve/{COMMIT}/config.json"] = refusal(401, "GatedRepo")
    assert "whatfits check llama-3.1-8b" in refusal_of(f"hf:{name}", UnreadableFileError)


def test_a_misspelt_name_is_told_from_those_the_catalog_knows(serve: Serve) -> None:
    serve()
    message = refusal_of("hf:meta-llama/Lama-3.1-8B-Instruct", UnknownModelError)
    assert "did you mean 'hf:meta-llama/Llama-3.1-8B-Instruct'?" in message


def test_a_listing_that_is_none_is_malformed(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    for answer in (as_json([]), lambda handler: handler.answer(200, b"<html>")):
        hub.hub.files[API] = answer
        assert "Hugging Face listing" in refusal_of(f"hf:{REPO}")


def test_the_native_quantisation_is_that_of_the_model_it_was_made_of(
    serve: Serve, tmp_path: Path
) -> None:
    content = {}
    for file_type in ("Q4_K_M", "MXFP4_MOE"):
        path = tmp_path / f"gpt-oss-20b-{file_type}.gguf"
        write_catalog_model(path, "gpt-oss-20b", file_type=file_type)
        content[path.name] = path
    tag = "base_model:quantized:openai/gpt-oss-20b"
    serve(
        Repository("acme/oss-GGUF", content, tags=(tag,)),
        Repository("acme/unknown-GGUF", content),
    )
    assert load("hf:acme/oss-GGUF").source.endswith("MXFP4_MOE.gguf")
    assert load("hf:acme/unknown-GGUF").source.endswith("Q4_K_M.gguf")


def test_nothing_is_asked_before_the_name_is_understood(serve: Serve, usual: Repository) -> None:
    hub = serve(usual)
    refusal_of("hf:nonsense", InvalidRequestError)
    assert hub.seen == []
