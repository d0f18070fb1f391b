"""The 39 situations in which tools go wrong on hardware, and what must be said in each.

By row: a recorded machine, and of its report findings that must be there (`says`), values by the
name of the field (`shows`), and devices with a feature (`marks`). Row 29 has no machine: no Vulkan
program is ever run. Row 39 is a test on the live machine: a fake program in the current folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NO_MACHINE: Final = frozenset({29, 39})


@dataclass(frozen=True)
class Shown:
    """What the report of one machine must say.

    Attributes:
        machine: the recording.
        says: codes of findings.
        shows: field of a pool or piece of evidence, and its value; None: unknown.
        marks: features by device.
        not_pools: pools that must not be there.
    """

    machine: str
    says: tuple[str, ...] = ()
    shows: dict[str, int | str | None] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    not_pools: tuple[str, ...] = ()


UNKNOWN_CARD: Final[dict[str, int | str | None]] = {"pools.vram0.total_bytes": None}
UNUSABLE: Final = {"cuda0": "unusable"}

SITUATIONS: Final[dict[int, tuple[Shown, ...]]] = {
    1: (Shown("gpu-library-missing", ("nvidia_library_missing",), UNKNOWN_CARD, UNUSABLE),),
    2: (Shown("gpu-driver-mismatch", ("nvidia_driver_mismatch",), UNKNOWN_CARD, UNUSABLE),),
    3: (
        Shown(
            "gpu-32-bit-library-first",
            ("nvidia_library_skipped",),
            {"pools.vram0.total_bytes": 8589934592},
        ),
        Shown("gpu-wrong-elf-class-only", ("nvidia_library_wrong_class",), UNKNOWN_CARD, UNUSABLE),
    ),
    4: (
        Shown(
            "gpu-no-permission-container",
            ("nvidia_no_permission", "nvidia_nodes_absent"),
            UNKNOWN_CARD,
            UNUSABLE,
        ),
        Shown(
            "gpu-amd-container-without-nodes",
            ("amd_nodes_absent",),
            UNKNOWN_CARD,
            {"vulkan0": "unusable"},
        ),
    ),
    5: tuple(
        Shown(
            machine,
            ("unified_memory",),
            {"pools.unified.total_bytes": 130663165952},
            {"cuda0": "integrated"},
            ("ram", "vram0"),
        )
        for machine in ("gpu-gb10-not-supported", "gpu-gb10-system-figures")
    ),
    6: (
        Shown(
            "gpu-jetson-orin-nano",
            ("unified_memory",),
            {"pools.unified.total_bytes": 7989248000},
            {"cuda0": "integrated"},
            ("vram0",),
        ),
    ),
    7: (
        Shown(
            "gpu-a100-80gb-mig-3x",
            ("nvidia_mig",),
            {"pools.vram0.total_bytes": 20937965568},
            {"cuda0": "mig", "cuda2": "mig"},
            ("vram3",),
        ),
    ),
    8: (
        Shown(
            "gpu-vgpu-a10-24q",
            ("nvidia_vgpu",),
            {"pools.vram0.total_bytes": 25702694912},
            {"cuda0": "vgpu"},
            ("unified",),
        ),
    ),
    9: (
        Shown(
            "gpu-lost-one-of-eight",
            ("nvidia_gpu_lost",),
            {"pools.vram6.total_bytes": 85899345920},
            not_pools=("vram7",),
        ),
    ),
    10: (Shown("gpu-driver-hung", ("nvidia_driver_hung",), UNKNOWN_CARD, UNUSABLE),),
    11: (
        Shown("gpu-driver-fails-for-a-moment", ("nvidia_driver_failed",), UNKNOWN_CARD, UNUSABLE),
    ),
    12: (
        Shown("wsl2-on-a-24-gb-host", ("wsl2",), {"pools.ram.total_bytes": 12470504448}),
        Shown("wsl1-without-memavailable", ("wsl1", "ram_available_derived")),
    ),
    13: (
        Shown(
            "docker-cgroup-v2-limit", ("ram_limit_cgroup",), {"pools.ram.limit_bytes": 8589934592}
        ),
        Shown(
            "docker-cgroup-v1-limit", ("ram_limit_cgroup",), {"pools.ram.limit_bytes": 4294967296}
        ),
        Shown(
            "systemd-slice-limit-in-a-parent",
            ("ram_limit_cgroup",),
            {"pools.ram.limit_bytes": 17179869184},
        ),
        Shown("cgroup-v2-limit-above-ram", (), {"pools.ram.limit_bytes": None}),
        Shown("lxc-with-lxcfs", ("lxcfs",), {"pools.ram.total_bytes": 268435456}),
        Shown("kubernetes-pod-cpu-quota", ("ram_limit_cgroup", "cpu_quota")),
    ),
    14: (
        Shown("docker-desktop-on-a-mac", ("linux_on_mac",)),
        Shown("colima-vz-on-a-mac", ("linux_on_mac",)),
        Shown("docker-desktop-on-windows-hyper-v", ("docker_desktop",)),
    ),
    15: (
        Shown(
            "gpu-mac-m3-max-64-stock",
            ("metal_limit",),
            {"pools.unified.total_bytes": 68719476736, "pools.unified.limit_bytes": 55662608384},
        ),
        Shown("gpu-mac-m5-max-128-raised", (), {"pools.unified.limit_bytes": 120259084288}),
    ),
    16: (
        Shown("gpu-mac-rosetta", ("interpreter_translated",), {"cpu.brand": "Apple M1 Max"}),
        Shown("mac-rosetta-virtualapple", ("interpreter_translated",)),
    ),
    17: (
        Shown("gpu-mac-vm-paravirtual", ("mac_gpu_unsupported",), not_pools=("unified",)),
        Shown("gpu-mac-intel-radeon", ("mac_gpu_unsupported",), not_pools=("unified", "vram0")),
    ),
    18: (
        Shown(
            "gpu-mac-profiler-hung",
            ("system_profiler_silent",),
            {"pools.unified.total_bytes": 51539607552},
        ),
        Shown("mac-sysctl-hung", ("ram_unknown",), {"pools.unified.total_bytes": None}),
    ),
    19: (
        Shown(
            "gpu-strix-halo-512mb-stock",
            ("amd_gtt_limit",),
            {"pools.unified.limit_bytes": 67404562432},
            {"vulkan0": "integrated"},
            ("vram0",),
        ),
        Shown("gpu-ryzen-780m-512mb", ("integrated_gpu",), {}, {"rocm0": "integrated"}, ("vram0",)),
    ),
    20: (
        Shown(
            "gpu-strix-halo-carve-out-96",
            ("amd_carve_out",),
            {"pools.vram0.total_bytes": 103079215104, "pools.ram.total_bytes": 33262241792},
            {"rocm0": "carve-out"},
        ),
    ),
    21: (
        Shown(
            "gpu-windows-strix-halo-96",
            ("amd_carve_out",),
            {"pools.vram0.total_bytes": 103079215104},
        ),
        Shown("gpu-windows-strix-halo-auto", (), {"pools.unified.limit_bytes": 65200000000}),
    ),
    22: (
        Shown("gpu-windows-r9700-capped", ("vram_capped",), UNKNOWN_CARD),
        Shown("gpu-windows-rx-9070-xt", (), {"pools.vram0.total_bytes": 17095983104}),
    ),
    23: (
        Shown("gpu-windows-r9700-capped", ("vram_capped",), UNKNOWN_CARD),
        Shown("gpu-arc-a770-i915-no-size", ("intel_memory_unknown",), UNKNOWN_CARD),
    ),
    24: (
        Shown("gpu-windows-780m-8gb", (), {"pools.vram0.total_bytes": 8858370048}),
        Shown("gpu-windows-rtx-4090-uhd-770", (), {"pools.vram0.total_bytes": 25757220864}),
    ),
    25: (
        Shown("gpu-lunar-lake", ("integrated_gpu",), {}, {"vulkan0": "integrated"}, ("vram0",)),
        Shown("gpu-arc-b580-xe", (), {"pools.vram0.total_bytes": 12884901888}),
        Shown("gpu-arc-a770-i915-no-size", ("intel_memory_unknown",), UNKNOWN_CARD),
    ),
    26: (
        Shown("gpu-hybrid-laptop-linux", ("integrated_gpu",), {}, {"vulkan0": "integrated"}),
        Shown("gpu-rx-7900-xtx-desktop", ("integrated_gpu",), {}, {"rocm1": "integrated"}),
        Shown("gpu-windows-hybrid-no-nvml", ("integrated_gpu",), {}, {"vulkan0": "integrated"}),
    ),
    27: (
        Shown(
            "gpu-hybrid-laptop-linux", (), {"pools.vram0.total_bytes": 8546942976}, {}, ("vram1",)
        ),
        Shown("gpu-windows-snapdragon", ("integrated_gpu",), {}, {}, ("vram0",)),
    ),
    28: (
        Shown("gpu-vm-virtio-llvmpipe", ("display_adapter_is_no_gpu",), {}, {}, ("vram0",)),
        Shown("gpu-mi300x-cpx", ("display_adapter_is_no_gpu",), {}, {}, ("vram1",)),
    ),
    30: (
        Shown(
            "gpu-visible-devices-empty",
            ("device_hidden",),
            {"pools.vram0.total_bytes": 25769803776, "pools.vram1.total_bytes": 8589934592},
        ),
        Shown("gpu-visible-devices-by-number", ("device_hidden", "cuda_order_uncertain")),
    ),
    31: (Shown("freebsd-by-psutil", (), {"pools.ram.total_bytes": 17179869184}),),
    32: (
        Shown("linux-power8-ppc64le", (), {"pools.ram.total_bytes": 32768000000}),
        Shown("linux-s390x-zvm", (), {"pools.ram.total_bytes": 4096000000}),
        Shown("linux-visionfive-2-riscv64", (), {"pools.ram.total_bytes": 8294400000}),
        Shown("linux-loongson-3a5000", (), {"cpu.brand": "Loongson-3A5000"}),
    ),
    33: (
        Shown("gpu-snapdragon-linux", ("integrated_gpu",), {}, {"opencl0": "integrated"}),
        Shown("gpu-windows-snapdragon", ("integrated_gpu",), {}, {"opencl0": "integrated"}),
    ),
    34: (
        Shown("linux-laptop-p-and-e-cores-zram", (), {"cpu.performance_cores": 6}),
        Shown("linux-rock-5b-rk3588", (), {"cpu.performance_cores": 4}),
        Shown("linux-server-2-sockets-numa", ("cpu_affinity", "cpus_offline"), {"cpu.sockets": 2}),
        Shown("windows-96-cores-in-groups", (), {"cpu.logical_cores": 192}),
    ),
    35: (
        Shown(
            "linux-gh200-host-side",
            ("numa_memory_only_node", "ram_limit_numa"),
            {"pools.ram.limit_bytes": 512000000000},
        ),
        Shown("linux-xeon-max-hbm-flat", ("numa_memory_only_node", "numa_nodes")),
    ),
    36: (
        Shown("linux-huge-pages-reserved", ("huge_pages_reserved",)),
        Shown("linux-zfs-arc", ("zfs_cache",)),
        Shown("linux-laptop-p-and-e-cores-zram", (), {"pools.ram.total_bytes": 16381952000}),
    ),
    37: (
        Shown("sandbox-with-nothing", ("ram_unknown",), {"pools.ram.total_bytes": None}),
        Shown("gvisor-docker", ("gvisor",), {"pools.ram.total_bytes": 1073741824}),
        Shown("linux-hidepid-and-denied", ("ram_limit_unread", "source_unread")),
        Shown("windows-query-partly-failed", ("windows_adapters_unread",)),
    ),
    38: (
        Shown("linux-garbage-everywhere", ("ram_unknown",), {"pools.ram.total_bytes": None}),
        Shown("linux-truncated-files", ("source_unread",), {"pools.ram.total_bytes": 32768000000}),
        Shown("gpu-nvidia-smi-only", (), {"pools.vram0.total_bytes": 6442450944}),
    ),
}
