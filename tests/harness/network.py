"""A network for one test, and the TCP sockets of processes.

A `Network` is a network namespace with one link to this machine. Each of this machine's addresses on the link can be
silenced. It needs root.
"""

import contextlib
import itertools
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from harness.requires import missing, requires

# Addresses for network tests (RFC 2544). Each network uses eight addresses, chosen by the process id.
_BASE = 198 << 24 | 18 << 16
_NETWORKS = 1 << 14
_PREFIX_LENGTH = 29

# Empty without the tool. Not every user has /usr/sbin on the PATH.
_IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""

_numbers = itertools.count()


class Network(AbstractContextManager["Network"]):
    """A network namespace, linked to this machine by a veth pair.

    `addresses` are this machine's ends of the link. `client` is the end in the namespace.
    """

    def __init__(self, addresses: int = 1) -> None:
        number = next(_numbers)
        self._slot = (os.getpid() * 4 + number) % _NETWORKS
        subnet = _BASE + self._slot * 8
        self.name = f"thb{os.getpid()}-{number}"
        self._link = f"thb{os.getpid()}h{number}"
        self._inner = f"thb{os.getpid()}c{number}"
        self.client, self._host, *self.addresses = (_address(subnet + host) for host in range(1, addresses + 3))

    def __enter__(self) -> "Network":
        requires(_IP, "iproute2")
        made = subprocess.run([_IP, "netns", "add", self.name], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            missing(f"network namespaces ({made.stderr.strip()})")
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for address in self.addresses:
            subprocess.run([_IP, "route", "del", "blackhole", address], capture_output=True, check=False)
        subprocess.run([_IP, "link", "del", self._link], capture_output=True, check=False)
        subprocess.run([_IP, "netns", "del", self.name], capture_output=True, check=False)

    def _connect(self) -> None:
        _ip("link", "add", self._link, "type", "veth", "peer", "name", self._inner, "netns", self.name)
        # The route to the namespace belongs to this address, which is never removed.
        _ip("address", "add", f"{self._host}/{_PREFIX_LENGTH}", "dev", self._link)
        for address in self.addresses:
            _ip("address", "add", address, "dev", self._link)
        _ip("link", "set", self._link, "up")
        _ip("-n", self.name, "address", "add", f"{self.client}/{_PREFIX_LENGTH}", "dev", self._inner)
        for device in ("lo", self._inner):
            _ip("-n", self.name, "link", "set", device, "up")
        # The namespace keeps sending to a silent address, because no failed ARP request reports it as unreachable.
        link_layer = Path(f"/sys/class/net/{self._link}/address").read_text().strip()
        for address in self.addresses:
            _ip("-n", self.name, "neighbour", "add", address, "lladdr", link_layer, "dev", self._inner)

    @property
    def inside(self) -> tuple[str, ...]:
        """Returns the command prefix that runs a command in the namespace."""
        return (_IP, "netns", "exec", self.name)

    @property
    def enter(self) -> tuple[str, ...]:
        """Returns a command prefix like `inside`, which keeps all mounts, so the control groups in /sys are visible."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def forward(self) -> str:
        """Routes a subnet of 256 further addresses to the namespace, and returns it.

        The namespace must forward packets between this subnet and its end of the link.
        """
        subnet = f"10.{64 + self._slot // 256}.{self._slot % 256}.0/24"
        _ip("route", "add", subnet, "via", self.client, "dev", self._link)
        self._route_back()
        return subnet

    def _route_back(self) -> None:
        _ip("-n", self.name, "route", "add", "default", "via", self._host, "dev", self._inner)

    def silence(self, address: str) -> None:
        """Drops every packet to one of this machine's addresses, as a dead link does: no RST, no ICMP message.

        Bytes that a process in the namespace sends there stay in its TCP buffers. The kernel retransmits them with
        growing pauses. (When the link itself is down, the kernel knows it, and retries every 0.5 s.)
        """
        _ip("route", "add", "blackhole", address)
        _ip("address", "del", f"{address}/32", "dev", self._link)

    def restore(self, address: str) -> None:
        _ip("address", "add", address, "dev", self._link)
        _ip("route", "del", "blackhole", address)

    def disconnect(self) -> None:
        """Takes the namespace's end of the link down. Processes on this machine still reach its addresses."""
        _ip("-n", self.name, "link", "set", self._inner, "down")

    def reconnect(self) -> None:
        """Ends `disconnect` in a namespace that forwards."""
        _ip("-n", self.name, "link", "set", self._inner, "up")
        self._route_back()


def mount_namespace() -> tuple[str, ...]:
    """Returns the prefix of a command that runs in a separate mount namespace."""
    requires(shutil.which("unshare"), "unshare (util-linux)")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        missing("mount namespaces")
    return ("unshare", "--mount")


def with_hosts(file: Path) -> tuple[str, ...]:
    """Returns the prefix of a command that reads `file` as /etc/hosts, in a separate mount namespace."""
    script = 'mount --bind "$0" /etc/hosts && exec "$@"'
    return (*mount_namespace(), "sh", "-c", script, str(file))


@dataclass(frozen=True)
class TcpSocket:
    """One line of /proc/net/tcp."""

    remote: tuple[str, int]
    state: str
    unacknowledged_bytes: int
    # The time until the kernel retransmits unacknowledged bytes.
    next_timer_seconds: float
    inode: int

    @property
    def has_unsent_bytes(self) -> bool:
        """Whether its bytes can still arrive. The kernel also sends the bytes of closed sockets."""
        return self.unacknowledged_bytes > 0 and self.state not in ("SYN_SENT", "SYN_RECV", "LISTEN", "TIME_WAIT")


_STATES = (
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
)


def sockets_around(pid: int) -> list[TcpSocket]:
    """Returns all IPv4 TCP sockets in the network namespace of a process."""
    return list(_read_table(Path(f"/proc/{pid}/net/tcp")))


def sockets_of(pid: int) -> list[TcpSocket]:
    """Returns the IPv4 TCP sockets of a process."""
    own = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # the process has just closed it
            own.add(os.readlink(descriptor))
    return [entry for entry in sockets_around(pid) if f"socket:[{entry.inode}]" in own]


def _read_table(path: Path) -> Iterator[TcpSocket]:
    for line in path.read_text().splitlines()[1:]:
        _, _, remote, state, queues, timer, _, _, _, inode, *_ = line.split()
        address, port = remote.split(":")
        # The address is in the machine's byte order.
        packed = struct.pack("=I", int(address, 16))
        yield TcpSocket(
            remote=(socket.inet_ntoa(packed), int(port, 16)),
            state=_STATES[int(state, 16)],
            unacknowledged_bytes=int(queues.split(":")[0], 16),
            next_timer_seconds=int(timer.split(":")[1], 16) / os.sysconf("SC_CLK_TCK"),
            inode=int(inode),
        )


def _address(number: int) -> str:
    return socket.inet_ntoa(struct.pack("!I", number))


def _ip(*words: str) -> None:
    done = subprocess.run([_IP, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
