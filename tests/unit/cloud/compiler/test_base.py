"""What of Debian's packages goes into the base, and where."""

import pytest

from skerry_cloud.compiler.base import place
from skerry_cloud.compiler.debian import Package, read_plan

KEPT = {
    "lib/x86_64-linux-gnu/libc.so.6": "usr/lib/x86_64-linux-gnu/libc.so.6",
    "lib64/ld-linux-x86-64.so.2": "usr/lib64/ld-linux-x86-64.so.2",
    "usr/bin/python3.11": "usr/bin/python3.11",
    "usr/lib/python3.11/json/__init__.py": "usr/lib/python3.11/json/__init__.py",
    "usr/share/doc/libc6/copyright": "usr/share/doc/libc6/copyright",
    "usr/share/doc/libgcc-s1": "usr/share/doc/libgcc-s1",
    "usr/share/common-licenses/GPL-3": "usr/share/common-licenses/GPL-3",
    "etc/os-release": "etc/os-release",
}
DROPPED = [
    "usr/share/man/man1/python3.11.1.gz",
    "usr/share/doc/libc6/NEWS.gz",
    "usr/share/locale/de/LC_MESSAGES/x.mo",
    "usr/lib/x86_64-linux-gnu/gconv/UTF-16.so",
    "usr/bin/ldd",
    "usr/sbin/iconvconfig",
    "etc/ld.so.conf.d/x86_64-linux-gnu.conf",
    "usr/lib/python3.11/lib-dynload/readline.cpython-311-x86_64-linux-gnu.so",
    "usr/lib/python3.11/test/support/__init__.py",
    "usr/lib/python3.11/sitecustomize.py",
    "bin",
    "var/lib/x",
    "",
]


@pytest.mark.parametrize(("name", "where"), KEPT.items())
def test_what_a_module_needs_is_kept_under_usr(name: str, where: str) -> None:
    assert place(name) == where


@pytest.mark.parametrize("name", DROPPED)
def test_what_no_module_needs_is_left_out(name: str) -> None:
    assert place(name) is None


def test_apts_plan_is_read() -> None:
    output = (
        "Reading package lists...\n"
        "Inst zlib1g (1:1.2.13.dfsg-1 Debian:12.15/oldstable [amd64])\n"
        "Inst libc6 (2.36-9 Debian:12.15/oldstable, Debian-Security:12 [amd64]) []\n"
        "Conf libc6 (2.36-9 Debian:12.15/oldstable [amd64])\n"
    )
    assert read_plan(output) == [
        Package("libc6", "2.36-9", "amd64"),
        Package("zlib1g", "1:1.2.13.dfsg-1", "amd64"),
    ]
