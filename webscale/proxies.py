"""nginx or HAProxy as the balancer, where they are installed: started, told of the replicas, and gone with the notebook.

Started by `webscale.replicas` as `python -m webscale.proxies`; the input and the end of it mean the same as in
`webscale.balancer`. Neither program leaves by itself when the notebook's process is killed: this one sees to it.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

READY_WITHIN_S = 5

NGINX = """
worker_processes 1;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    upstream shop {{ least_conn; {servers} keepalive 256; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; }}
    }}
}}
"""
HAPROXY = """
global
    maxconn 4096
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend shop
    bind 127.0.0.1:{port}
    default_backend replicas
backend replicas
    balance leastconn
    http-reuse always
{servers}
"""


@dataclass(frozen=True)
class Proxy:
    """How to run a program as the balancer."""

    program: str
    text: str                                   # its configuration
    server: Callable[[int], str]                # a replica's line in it
    arguments: Callable[[str, Path], list[str]]
    reload: str                                 # the signal that makes it read its configuration again


PROXIES = {
    "nginx": Proxy("nginx", NGINX, lambda port: f"server 127.0.0.1:{port};",
                   lambda program, path: [program, "-e", "stderr", "-p", str(path.parent), "-c", str(path), "-g", "daemon off;"], "SIGHUP"),
    "haproxy": Proxy("haproxy", HAPROXY, lambda port: f"    server r{port} 127.0.0.1:{port}",
                     lambda program, path: [program, "-W", "-f", str(path)], "SIGUSR2"),
}
NOBODY = 9   # the discard port: both programs insist on a server before there is one


class Running:
    """The program, with the configuration that it has read."""

    def __init__(self, name: str, program: str) -> None:
        self.proxy, self.ports = PROXIES[name], []
        self.path = Path.cwd() / f"{name}.conf"
        self.port = free_port()
        self.write()
        self.process = subprocess.Popen(self.proxy.arguments(program, self.path), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)

    def write(self) -> None:
        """Nothing is returned; the configuration names the replicas of now."""
        servers = "\n".join(map(self.proxy.server, self.ports or [NOBODY]))
        self.path.write_text(self.proxy.text.format(folder=self.path.parent, port=self.port, servers=servers), "utf-8")

    def obey(self, order: dict) -> None:
        """Nothing is returned; the program hands requests to one replica more or less."""
        self.ports = [port for port in self.ports if port != order.get("remove")] + ([order["add"]] if "add" in order else [])
        self.write()
        self.process.send_signal(getattr(signal, self.proxy.reload))

    def wait(self) -> None:
        """Nothing is returned; the program listens. OSError if it does not."""
        deadline = time.monotonic() + READY_WITHIN_S
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
        raise OSError(f"{self.proxy.program} does not listen; its own words are above.")


def free_port() -> int:
    """A port that was free a moment ago: these programs cannot be given a socket, or choose a port by themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def main() -> None:
    """Nothing is returned; the program is gone when the input ends."""
    configuration = json.loads(sys.stdin.buffer.readline())
    running = Running(configuration["proxy"], configuration["program"])
    try:
        running.wait()
        print(json.dumps({"ready": {"port": running.port, "pid": os.getpid()}}), flush=True)
        for line in sys.stdin.buffer:
            if line.strip() == b"stop":
                break
            running.obey(json.loads(line))
    finally:
        running.process.terminate()
        running.process.wait()


if __name__ == "__main__":
    main()
