"""A system call filter: what no module needs, and what kernels have been broken with, is refused.

The filter is written here as the bytes that the kernel takes, and not by libseccomp: it is small,
and a device need not have that library. Runtimes that have one of their own get the same names.
What is refused fails with EPERM, calls that are newer than this list with ENOSYS, so that programs
fall back as they do on an older kernel; a call by another machine's convention with EPERM.

Sources: ``Documentation/userspace-api/seccomp_filter.rst``, ``include/uapi/linux/{seccomp,filter,
audit}.h``; the numbers are the kernel's, and a test compares them with libseccomp's.
"""

import platform
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_TABLE = """
_sysctl 156 149 - 149
acct 163 51 89 51
add_key 248 286 217 309
bpf 321 357 280 386
chroot 161 61 51 61
clock_adjtime 305 343 266 372
clock_settime 227 264 112 262
create_module 174 127 - -
delete_module 176 129 106 129
finit_module 313 350 273 379
fsconfig 431 431 431 431
fsmount 432 432 432 432
fsopen 430 430 430 430
fspick 433 433 433 433
get_kernel_syms 177 130 - -
init_module 175 128 105 128
io_uring_enter 426 426 426 426
io_uring_register 427 427 427 427
io_uring_setup 425 425 425 425
ioperm 173 101 - -
iopl 172 110 - -
kcmp 312 349 272 378
kexec_file_load 320 - 294 401
kexec_load 246 283 104 347
keyctl 250 288 219 311
lookup_dcookie 212 253 18 249
mount 165 21 40 21
mount_setattr 442 442 442 442
move_mount 429 429 429 429
nfsservctl 180 169 42 169
open_by_handle_at 304 342 265 371
open_tree 428 428 428 428
perf_event_open 298 336 241 364
pivot_root 155 217 41 218
ptrace 101 26 117 26
query_module 178 167 - -
quotactl 179 131 60 131
quotactl_fd 443 443 443 443
reboot 169 88 142 88
request_key 249 287 218 310
setdomainname 171 121 162 121
sethostname 170 74 161 74
setns 308 346 268 375
settimeofday 164 79 170 79
stime - 25 - -
swapoff 168 115 225 115
swapon 167 87 224 87
sysfs 139 135 - 135
syslog 103 103 116 103
umount - 22 - -
umount2 166 52 39 52
unshare 272 310 97 337
uselib 134 86 - 86
userfaultfd 323 374 282 388
ustat 136 62 - 62
vhangup 153 111 58 111
vm86 - 166 - -
vm86old - 113 - -
"""
"""Calls by name, with their numbers on x86_64, i386, aarch64 and arm; "-" where there is none."""
NAMES = tuple(line.split()[0] for line in _TABLE.split("\n") if line)
"""What is refused, by name."""
NAMESPACES = 0x7E02_0000
"""Flags of ``clone`` that make a namespace: within one, a module would have capabilities again."""
EPERM, ENOSYS = 1, 38

_NEWEST = 462
"""Newest call of the list that all machines share since number 424."""
_ARM_OWN = 0xF_0000
"""From here on calls are arm's own, such as ``set_tls``."""
_CLONE3 = 435
_X32 = 0x4000_0000
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000

# BPF: load a word, jump if equal / greater or equal / greater / any bit set, return.
_LOAD, _EQUAL, _AT_LEAST, _ABOVE, _ANY, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x06
_AT_NUMBER, _AT_MACHINE, _AT_FIRST_ARGUMENT = 0, 4, 16


@dataclass(frozen=True, slots=True)
class Convention:
    """How programs call the kernel.

    Attributes:
        name: As in the list above.
        audit: The kernel's number for it.
        clone: Number of ``clone``.
        oci: What OCI runtimes call it.
    """

    name: str
    audit: int
    clone: int
    oci: str


X86_64 = Convention("x86_64", 0xC000_003E, 56, "SCMP_ARCH_X86_64")
I386 = Convention("i386", 0x4000_0003, 120, "SCMP_ARCH_X86")
AARCH64 = Convention("aarch64", 0xC000_00B7, 220, "SCMP_ARCH_AARCH64")
ARM = Convention("arm", 0x4000_0028, 120, "SCMP_ARCH_ARM")
CONVENTIONS = (X86_64, I386, AARCH64, ARM)
_HERE = {
    "x86_64": (X86_64, I386),
    "i686": (I386,),
    "aarch64": (AARCH64, ARM),
    "armv7l": (ARM,),
}
"""What programs of a machine may use: its own convention, and that of its 32-bit ancestor."""


def program(machine: str = platform.machine()) -> bytes | None:
    """Return the filter for a machine as an array of ``struct sock_filter``, or None if unknown."""
    conventions = _HERE.get(machine)
    if conventions is None:
        return None
    lines = [_line(_LOAD, _AT_MACHINE)]
    for convention in conventions:
        block = _block(convention)
        lines += [_line(_EQUAL, convention.audit, 0, len(block)), *block]
    lines.append(_line(_RETURN, _ERRNO | EPERM))
    return b"".join(lines)


def profile(machine: str = platform.machine()) -> dict[str, Any]:
    """Return the same, for a machine, as ``linux.seccomp`` of an OCI runtime's configuration.

    Source: OCI runtime specification 1.0.2, ``config-linux.md``, "Seccomp".
    """
    refused = {"action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}
    flags = [1 << bit for bit in range(32) if NAMESPACES >> bit & 1]
    clones = [
        {
            "names": ["clone"],
            **refused,
            "args": [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}],
        }
        for flag in flags
    ]
    no_clone3 = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": [convention.oci for convention in _HERE.get(machine, ())],
        "syscalls": [{"names": list(NAMES), **refused}, no_clone3, *clones],
    }


def numbers(convention: Convention) -> dict[str, int]:
    """Return the numbers of what is refused, by name, as far as the convention has them."""
    column = CONVENTIONS.index(convention) + 1
    rows = (line.split() for line in _TABLE.split("\n") if line)
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def _block(convention: Convention) -> Sequence[bytes]:
    """Return the lines for one convention; none of them goes on behind the last."""
    refused = sorted(numbers(convention).values())
    # The last three lines are the answers; the lines before them jump there.
    count = len(refused)
    answers = [_line(_RETURN, value) for value in (_ALLOW, _ERRNO | EPERM, _ERRNO | ENOSYS)]
    lines = [
        _line(_LOAD, _AT_NUMBER),
        # Newer calls are unknown here; arm's own and x86_64's second set of numbers are not newer.
        (
            _line(_AT_LEAST, _ARM_OWN, count + 5, 0)
            if convention is ARM
            else _line(_AT_LEAST, _X32, count + 6, 0)
        ),
        _line(_ABOVE, _NEWEST, count + 6, 0),
        _line(_EQUAL, _CLONE3, count + 5, 0),
    ]
    for i, number in enumerate(refused):
        lines.append(_line(_EQUAL, number, count - i + 3, 0))
    lines += [
        _line(_EQUAL, convention.clone, 0, 2),
        _line(_LOAD, _AT_FIRST_ARGUMENT),
        _line(_ANY, NAMESPACES, 1, 0),
    ]
    return [*lines, *answers]


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
