"""How much memory this process may still take, and whether the system has killed anybody for the lack of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import psutil

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_EVENTS = Path("/proc/vmstat")


class Available(NamedTuple):
    """So many bytes can be taken before *limit*, in words, is reached."""

    n_bytes: int
    limit: str


def available() -> Available:
    """What can still be taken: by the machine, by every cgroup that this process is in, by its own limits.

    Files that are only cached count as free: the system gives their memory back.
    """
    found = [Available(int(psutil.virtual_memory().available), "the machine's memory")]
    found += [Available(room, "the memory limit of its cgroup") for room in cgroup_rooms(_MEMBERSHIP, _GROUPS)]
    found += [Available(room, "its limit of address space (ulimit -v)") for room in _address_space()]
    return min(found)


def cgroup_rooms(membership: Path, groups: Path) -> Iterator[int]:
    """What is left of each limit, in bytes (the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).

    *membership* is a process's ``/proc/PID/cgroup``, *groups* the mount point of the hierarchies.
    """
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in membership.read_text().split("\n"):
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if number == "0" and not controllers:
                yield from _rooms(groups, path, "memory.max", "memory.current", "")
            elif "memory" in controllers.split(","):
                yield from _rooms(groups / "memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def _rooms(mount: Path, path: str, limit_name: str, usage_name: str, prefix: str) -> Iterator[int]:
    """Of a group and all above it.  In a container the path may be the host's: then its mount is the group."""
    parts = PurePosixPath(path).parts[1:]
    for depth in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:depth])
        limit, usage = _number(folder / limit_name), _number(folder / usage_name)
        if limit is not None and usage is not None:
            yield max(limit - max(usage - _cached(folder / "memory.stat", prefix), 0), 0)


def _number(file: Path) -> int | None:
    """None where there is no such file, or its limit is ``max``."""
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text())
    return None


def _cached(file: Path, prefix: str) -> int:
    """Bytes of files that the group has in memory."""
    return sum(_counters(file).get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))


def _counters(file: Path) -> dict[str, int]:
    found = {}
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().split("\n"):
            name, _, value = line.partition(" ")
            if value:
                found[name] = int(value)
    return found


def _address_space() -> Iterator[int]:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            yield max(limit - int(psutil.Process().memory_info().vms), 0)


def oom_kills() -> int:
    """How many processes Linux has killed for want of memory since it started, cgroups' limits included; else 0."""
    return _counters(_EVENTS).get("oom_kill", 0)
