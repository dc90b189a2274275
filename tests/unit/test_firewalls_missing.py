# What the firewalls say where a tool, a library or a part of the kernel is missing.
import errno
import socket
from typing import Any

import pytest

from pyfilter.errors import FirewallError
from pyfilter.firewalls import Iptables, Nftables, libnftables, netlink, tool


def test_without_libnftables_one_line_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libnftables, "_LIBRARY", "libnftables-of-nowhere.so.1")
    with pytest.raises(FirewallError, match="apt install libnftables1") as caught:
        Nftables().open()
    assert not caught.value.recoverable
    assert "\n" not in str(caught.value)


def test_without_iptables_one_line_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "_PATH", "/nonexistent")
    with pytest.raises(FirewallError, match="apt install iptables ipset") as caught:
        Iptables().open()
    assert not caught.value.recoverable


def test_without_netfilter_in_the_kernel_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> socket.socket:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(FirewallError, match="no nf_tables: Protocol not supported") as caught:
        netlink.Netlink()
    assert not caught.value.recoverable


def test_a_tool_that_fails_is_quoted_in_one_line() -> None:
    with pytest.raises(FirewallError, match=r"^ls refused: .*/nonexistent") as caught:
        tool.run("ls", "/nonexistent")
    assert caught.value.recoverable


def test_a_tool_reads_what_it_is_given_and_nothing_else() -> None:
    assert tool.run("cat", text="a line\n") == "a line\n"
    assert tool.run("cat") == ""
    assert tool.run("env").splitlines() == [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL=C",
        "HOME=/dev/null",
    ]
