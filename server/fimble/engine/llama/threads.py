"""Where llama.cpp's threads run.

The threads of a decode wait for one another at each of its operations.  After a pause of some 30 ms, and a person's
keys are further apart, Linux often wakes two of them on one core and leaves another idle; until it moves one, each
waits for the other to go to sleep.  The first decode then takes 12 to 45 ms instead of 3.7 (45 M, two cores).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama

#: GGML_MAX_N_THREADS (ggml.h): the CPUs that a mask can name.
_MOST_CPUS = 512


#: enum omp_pause_resource_t (OpenMP 5.0, 3.2.43): what the threads know is kept.
_PAUSE_SOFT = 1


class _Params(ctypes.Structure):
    """struct ggml_threadpool_params (ggml.h)."""

    _fields_ = (
        ("cpumask", ctypes.c_bool * _MOST_CPUS),
        ("n_threads", ctypes.c_int),
        ("prio", ctypes.c_int),
        ("poll", ctypes.c_uint32),
        ("strict_cpu", ctypes.c_bool),
        ("paused", ctypes.c_bool),
    )


class ThreadPool:
    """*count* threads, each on a core of its own (*apart*, from number *first* on) or wherever the system puts them.

    For one context at a time, and as long as that uses it.  To be made on the thread that decodes: it is the first.
    """

    def __init__(self, count: int, *, apart: bool, first: int = 0) -> None:
        params = _default_params(count)
        cpus = one_of_each_core()[first : first + count] if apart else every_cpu()
        for cpu in cpus:
            params.cpumask[cpu] = True
        # Strict: the first thread keeps to the first CPU of the mask, and so on; else all of them may use all of it.
        params.strict_cpu = apart
        self.handle = ctypes.c_void_p(_function("ggml_threadpool_new", ctypes.c_void_p)(ctypes.byref(params)))
        self.free = weakref.finalize(self, _function("ggml_threadpool_free", None), self.handle)
        self.free.atexit = False
        if cpus and count == 1:
            # Where there is one thread, llama.cpp leaves it where it was kept before.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, cpus)

    def attach(self, context: Any) -> None:
        """Let llama.cpp's *context* compute with these threads from now on."""
        pointer = ctypes.cast(context, ctypes.c_void_p)
        _function("llama_attach_threadpool", None)(pointer, self.handle, None)


def release() -> None:
    """End the threads that wait to compute with the calling one; they are made again when they are needed.

    GNU's OpenMP counts all that wait, for whichever thread.  Where they are more than there are CPUs, every thread
    sleeps at once where it would wait for a moment, and writing takes twice as long (45 M, two cores: 5.1 ms a token
    instead of 2.2).  LLVM's counts otherwise, and would stop everybody's.
    """
    if sys.platform == "linux" and not _has("__kmpc_fork_call") and _has("omp_pause_resource_all"):
        _function("omp_pause_resource_all", ctypes.c_int)(_PAUSE_SOFT)


def can_keep_apart(count: int) -> bool:
    """Whether *count* threads can each have a core of its own here: on Linux, where there are so many."""
    return 1 < count <= len(one_of_each_core())


@functools.cache
def one_of_each_core() -> Sequence[int]:
    """A CPU of each core that this process may use, the fastest cores first; empty where that cannot be told."""
    cpus = every_cpu()
    cores = {siblings: cpu for cpu in reversed(cpus) if (siblings := _about(cpu, "topology/thread_siblings_list"))}
    return sorted(cores.values(), key=lambda cpu: (-_speed(cpu), cpu))


@functools.cache
def every_cpu() -> Sequence[int]:
    """All CPUs that this process may use; empty on systems other than Linux, and with a llama.cpp that has no pools."""
    if sys.platform != "linux" or not _is_known():
        return ()
    # Of the process: the calling thread may have been given a core already.
    return sorted(cpu for cpu in os.sched_getaffinity(os.getpid()) if cpu < _MOST_CPUS)


def _speed(cpu: int) -> int:
    """How fast a core is beside others of this machine, where there are several kinds."""
    return int(_about(cpu, "cpu_capacity") or _about(cpu, "cpufreq/cpuinfo_max_freq") or 0)


def _about(cpu: int, name: str) -> str:
    """What the kernel says of a CPU (Documentation/admin-guide/cputopology.rst); empty if nothing."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/{name}").read_text("ascii").strip()
    except OSError:
        return ""


def _is_known() -> bool:
    """Whether this llama.cpp has thread pools that are described as they are here."""
    try:
        params = _default_params(3)
        _function("llama_attach_threadpool", None)
    except AttributeError:
        return False
    return (params.n_threads, params.strict_cpu, params.paused) == (3, False, False) and not any(params.cpumask)


@functools.cache
def _has(name: str) -> bool:
    """Whether llama.cpp, or a library that it uses, has such a function."""
    try:
        _function(name, None)
    except AttributeError:
        return False
    return True


def _default_params(count: int) -> _Params:
    params = _function("ggml_threadpool_params_default", _Params)(count)
    assert isinstance(params, _Params)
    return params


def _function(name: str, returns: Any) -> Any:
    """A function of ggml's, which the Python package does not name.  Raises AttributeError where there is none."""
    found = llama._lib[name]
    found.restype = returns
    return found
