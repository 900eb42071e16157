"""How much memory may still be taken: machine, cgroups of both kinds, and a process's own limit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fimble import memory

GIB = 1 << 30


def write(folder: Path, **values: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_the_second_kind_of_cgroups(tmp_path: Path) -> None:
    """The group and all above it count; what files take of it can be given back."""
    membership, groups = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("0::/user.slice/editor.scope\n")
    inner = groups / "user.slice" / "editor.scope"
    write(groups / "user.slice", memory__max=8 * GIB, memory__current=3 * GIB)
    write(inner, memory__max=2 * GIB, memory__current=GIB)
    (inner / "memory.stat").write_text(f"anon {GIB // 2}\nactive_file {GIB // 4}\ninactive_file {GIB // 8}\n")
    assert list(memory.cgroup_rooms(membership, groups)) == [GIB + GIB // 4 + GIB // 8, 5 * GIB]
    write(inner, memory__max="max")
    assert list(memory.cgroup_rooms(membership, groups)) == [5 * GIB]


def test_the_first_kind_of_cgroups(tmp_path: Path) -> None:
    """Its controllers have folders of their own, and its counters other names."""
    membership, groups = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("9:name=systemd:/\n4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n")
    inner = groups / "memory" / "docker" / "abc"
    write(inner, memory__limit_in_bytes=2 * GIB, memory__usage_in_bytes=GIB)
    (inner / "memory.stat").write_text(f"active_file 1\ntotal_active_file {GIB // 2}\ntotal_inactive_file 0\n")
    assert list(memory.cgroup_rooms(membership, groups)) == [GIB + GIB // 2]


def test_in_a_container_the_mount_is_the_group(tmp_path: Path) -> None:
    """The path may be the host's, which the container does not see; more than the limit is not less than nothing."""
    membership, groups = tmp_path / "cgroup", tmp_path / "fs"
    membership.write_text("0::/system.slice/docker-abc.scope\n")
    write(groups, memory__max=GIB, memory__current=2 * GIB)
    assert list(memory.cgroup_rooms(membership, groups)) == [0]


@pytest.mark.parametrize("text", ["", "nonsense\n", "0::/\n", "4:memory:\n", "0::/a\n\n\n"])
def test_without_cgroups_there_is_no_limit(tmp_path: Path, text: str) -> None:
    """Other systems, and files that say nothing."""
    (tmp_path / "cgroup").write_text(text)
    assert list(memory.cgroup_rooms(tmp_path / "cgroup", tmp_path / "fs")) == []
    assert list(memory.cgroup_rooms(tmp_path / "none", tmp_path / "fs")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces a limit of address space")
def test_a_limit_of_address_space_counts() -> None:
    """`ulimit -v`: what is left of it, and its name."""
    script = (
        "import resource, psutil\n"
        "from fimble import memory\n"
        f"limit = psutil.Process().memory_info().vms + {100_000_000}\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "print(*memory.available(), sep='|')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=30)
    n_bytes, limit = done.stdout.strip().split("|")
    assert 80_000_000 < int(n_bytes) <= 100_000_000
    assert "ulimit -v" in limit
    here = memory.available()
    assert here.n_bytes > 100_000_000
    assert "ulimit" not in here.limit


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces a limit of address space")
def test_a_process_can_limit_itself() -> None:
    """What is over the limit is an error in this process, not the machine's trouble; a stricter limit stays."""
    script = (
        "import resource\n"
        "from fimble import memory\n"
        "memory.limit(100_000_000)\n"
        "strict = resource.getrlimit(resource.RLIMIT_AS)\n"
        "memory.limit(1 << 40)\n"
        "assert resource.getrlimit(resource.RLIMIT_AS) == strict\n"
        "bytearray(50_000_000)\n"
        "print(memory.peak_bytes())\n"
        "bytearray(200_000_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, text=True, timeout=30)
    assert done.stderr.strip().endswith("MemoryError")
    assert int(done.stdout) > 50_000_000
