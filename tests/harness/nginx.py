"""nginx with TLS in front of the real server, a common setup for self-hosted Temporal servers."""

import shutil
import socket
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

from harness.certificates import Authority, Pair
from harness.requires import requires
from harness.server import die_with_parent, free_port

START_TIMEOUT = 60.0

# Needs no root, and writes only into its folder. It is a single process, so one signal ends it.
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests {requests};
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {pair.cert_path};
        ssl_certificate_key {pair.key_path};
        {clients}
        location / {{
            grpc_pass grpc://{server_address};
        }}
    }}
}}
"""


class Nginx(AbstractContextManager["Nginx"]):
    """An nginx that closes each connection after a number of requests."""

    def __init__(
        self,
        folder: Path,
        server_address: str,
        pair: Pair,
        *,
        clients_of: Authority | None = None,
        requests: int = 1000,
    ) -> None:
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        self._program = requires(found, "nginx (Debian's nginx-light)")
        self._folder = folder
        folder.mkdir()
        clients = f"ssl_client_certificate {clients_of.path}; ssl_verify_client on;" if clients_of else ""
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        (folder / "nginx.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                requests=requests,
                port=self._port,
                pair=pair,
                clients=clients,
                server_address=server_address,
            )
        )

    def __enter__(self) -> "Nginx":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts nginx, and retries while another connection briefly uses its port."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._start(deadline):
            assert time.monotonic() < deadline, (self._folder / "error.log").read_text()

    def kill(self) -> None:
        """Ends nginx, and all its connections at once."""
        self._process.kill()
        self._process.wait()

    def _start(self, deadline: float) -> bool:
        command = [self._program, "-p", str(self._folder), "-c", "nginx.conf", "-e", "error.log"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent
        )
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    self.kill()
                    raise TimeoutError(f"no nginx on {self.address} after {START_TIMEOUT:.0f} s") from None
                time.sleep(0.05)  # a listening port has no event to wait for
            else:
                return True
        return False
