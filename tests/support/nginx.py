"""The real NGINX with the configuration of infra/nginx, in front of processes of ours."""

import shutil
import string
from pathlib import Path

import requests

from support.processes import ROOT, Process, environment, free_port, is_open, wait_until

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
TEMPLATE = ROOT / "infra/nginx/nginx.conf"


def configuration(folder: Path, listen: int, ports: list[int], body_limit: str) -> str:
    upstream = " ".join(f"server 127.0.0.1:{port} max_fails=3 fail_timeout=5s;" for port in ports)
    values = {"LISTEN": f"127.0.0.1:{listen}", "SERVERS": upstream, "BODY_LIMIT": body_limit, "RUN_DIR": str(folder)}
    return string.Template(TEMPLATE.read_text()).safe_substitute(values)


class Nginx(Process):
    """NGINX in the foreground, in a folder of its own."""

    def __init__(self, folder: Path, ports: list[int], log: Path, body_limit: str = "6m"):
        port = free_port()
        file = folder / "nginx.conf"
        file.write_text(configuration(folder, port, ports, body_limit))
        command = [PROGRAM, "-p", folder, "-c", file, "-e", "stderr", "-g", "daemon off;"]
        super().__init__("nginx", command, log, environment())
        wait_until(lambda: is_open(port), "NGINX listens", process=self)
        self.url = f"http://127.0.0.1:{port}"

    def post(self, path: str, **kwargs) -> requests.Response:
        return requests.post(self.url + path, timeout=60, **kwargs)
