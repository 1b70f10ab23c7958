"""A certificate for `localhost`, which signs itself."""

import subprocess
from pathlib import Path


def make_certificate(certificate: Path, key: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*command.split(), *extension, *files], check=True, capture_output=True)
