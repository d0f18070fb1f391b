"""Room for downloads: in the home folder, and where each runtime keeps its models."""

from __future__ import annotations

from whatfits.probes.drafts import Draft, mapping, size
from whatfits.probes.files import read_small_text
from whatfits.sizing.errors import ProbeError
from whatfits.sizing.typed import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from whatfits.probes.report import Partial
    from whatfits.probes.system import System

__all__ = ["FreeDisk", "model_folders", "probe", "read_disk"]

_REMOTE: Final = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "ceph", "lustre", "afs", "glusterfs")


class FreeDisk(Protocol):
    """Returns `free_bytes` and `total_bytes` of the file system of a path."""

    def __call__(self, path: str, *, is_remote: bool) -> Mapping[str, object]:
        """Return the figures, or raise a ProbeError."""
        ...


def probe(system: System) -> Partial:
    """Return evidence on free disk: `disk.home.free_bytes`, and a key for each folder of models."""
    draft = Draft()
    try:
        places = system.query("disk")
    except ProbeError as error:
        draft.say("disk_unknown", f"Free disk: {error}.", warn=True)
        return draft.partial()
    for name, place in places.items():
        free = size(mapping(place).get("free_bytes"))
        source = "free for this user, in ~" if name == "home" else f"free for this user, {name}"
        draft.know(f"disk.{name}.free_bytes", free, unit="bytes", source=source)
        if free is None:
            reason = mapping(place).get("text", "no answer")
            draft.say("disk_unknown", f"Free disk ({name}): {reason}.", warn=True)
    return draft.partial()


def model_folders(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where the home folder is and where runtimes keep models, by name."""
    home = environment.get("HOME") or environment.get("USERPROFILE")
    if not home:
        return {}
    cache = environment.get("XDG_CACHE_HOME") or f"{home}/.cache"
    hugging_face = environment.get("HF_HOME") or f"{cache}/huggingface"
    return {
        "home": home,
        "hugging_face": environment.get("HF_HUB_CACHE") or f"{hugging_face}/hub",
        "llama.cpp": environment.get("LLAMA_CACHE") or f"{cache}/llama.cpp",
        "lm_studio": f"{home}/.lmstudio/models",
        "ollama": environment.get("OLLAMA_MODELS") or f"{home}/.ollama/models",
    }


def read_disk(environment: Mapping[str, str], *, free: FreeDisk) -> dict[str, object]:
    """Return the free space of each folder; one that is not there yet is left out.

    A failure stands in place of the figures, as `{"error": kind, "text": why}`.
    """
    from whatfits.probes.answers import error_kind  # noqa: PLC0415 - as everything here, on demand

    remote = _remote_mounts()
    answers: dict[str, object] = {}
    for name, path in model_folders(environment).items():
        try:
            answers[name] = dict(free(path, is_remote=_is_below(path, remote)))
        except ProbeError as error:
            kind = error_kind(error)
            if kind != "missing" or name == "home":
                answers[name] = {"error": kind, "text": f"{name} could not be read ({kind})"}
    return answers


def _remote_mounts() -> tuple[tuple[str, bool], ...]:
    """Return mounted folders, longest first, and whether each lies across a network."""
    try:
        mountinfo = read_small_text("/proc/self/mountinfo")
    except ProbeError:
        return ()
    mounts = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4:  # noqa: PLR2004 - the fifth is the folder
            mounts.append((fields[4].replace("\\040", " "), after.startswith(_REMOTE)))
    return tuple(sorted(mounts, key=lambda mount: -len(mount[0])))


def _is_below(path: str, mounts: tuple[tuple[str, bool], ...]) -> bool:
    for folder, is_remote in mounts:
        if path == folder or path.startswith(folder.rstrip("/") + "/"):
            return is_remote
    return False
