"""The system call filter: its numbers are libseccomp's, and the kernel's machine runs it."""

import ctypes
import ctypes.util
import struct

import pytest

from skerry_agent.runtimes import seccomp
from skerry_agent.runtimes.seccomp import AARCH64, ARM, CONVENTIONS, I386, X86_64, Convention

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x50001, 0x50026
MACHINES = {"x86_64": (X86_64, I386), "aarch64": (AARCH64, ARM), "armv7l": (ARM,), "i686": (I386,)}


@pytest.fixture(scope="module")
def libseccomp() -> ctypes.CDLL:
    found = ctypes.util.find_library("seccomp")
    assert found, "libseccomp is missing: install runc, which needs it"
    library = ctypes.CDLL(found)
    library.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    return library


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda one: one.name)
def test_numbers_are_those_of_libseccomp(libseccomp: ctypes.CDLL, convention: Convention) -> None:
    numbers = seccomp.numbers(convention)
    for name in (*seccomp.NAMES, "clone"):
        theirs = libseccomp.seccomp_syscall_resolve_name_arch(convention.audit, name.encode())
        ours = convention.clone if name == "clone" else numbers.get(name)
        assert ours == (theirs if theirs >= 0 else None), name


def answer(program: bytes, audit: int, number: int, argument: int = 0) -> int:
    """Run a filter as the kernel would, on one call."""
    data = struct.pack("=IIQ6Q", number, audit, 0, argument, 0, 0, 0, 0, 0)
    at, accumulator = 0, 0
    for _ in range(1000):
        code, if_true, if_false, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return int(value)
        else:
            meets = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            at += if_true if meets else if_false
    raise AssertionError("it does not end")


CASES = [(machine, one) for machine, conventions in MACHINES.items() for one in conventions]


@pytest.mark.parametrize(("machine", "convention"), CASES, ids=lambda one: str(one)[:40])
def test_what_no_module_needs_is_refused_and_all_else_is_not(
    machine: str, convention: Convention
) -> None:
    program = seccomp.program(machine)
    assert program is not None
    numbers = set(seccomp.numbers(convention).values())
    for number in range(600):
        expected = EPERM if number in numbers else ENOSYS if number > 462 else ALLOW
        expected = ENOSYS if number == 435 else expected
        assert answer(program, convention.audit, number) == expected, number


@pytest.mark.parametrize(("machine", "convention"), CASES, ids=lambda one: str(one)[:40])
def test_threads_and_forks_may_be_made_and_namespaces_may_not(
    machine: str, convention: Convention
) -> None:
    program = seccomp.program(machine)
    assert program is not None
    thread, fork = 0x003D0F00, 17
    for flags in (thread, fork):
        assert answer(program, convention.audit, convention.clone, flags) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(program, convention.audit, convention.clone, fork | flag) == EPERM


def test_calls_by_another_convention_are_refused() -> None:
    program = seccomp.program("x86_64")
    assert program is not None
    assert answer(program, AARCH64.audit, 1) == EPERM
    assert answer(program, X86_64.audit, 0x4000_0001) == EPERM  # write, by the x32 convention


def test_arms_own_calls_are_allowed() -> None:
    program = seccomp.program("armv7l")
    assert program is not None
    set_tls = 0xF0005
    assert answer(program, ARM.audit, set_tls) == ALLOW


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    assert seccomp.program("riscv64") is None


def test_oci_runtimes_get_the_same_names() -> None:
    profile = seccomp.profile("aarch64")
    assert profile["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert profile["syscalls"][0]["names"] == list(seccomp.NAMES)
    masks = [rule["args"][0]["value"] for rule in profile["syscalls"] if "args" in rule]
    assert sum(masks) == seccomp.NAMESPACES
