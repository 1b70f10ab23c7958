"""A certificate for `localhost`, which signs itself, and what trusts it alone."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Contexts:
    """Of both sides of a TLS connection."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_contexts(folder: Path) -> Contexts:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make_certificate(certificate, key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return Contexts(server, ssl.create_default_context(cafile=str(certificate)))


def make_certificate(certificate: Path, key: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    extension = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*command.split(), *extension, *files], check=True, capture_output=True)
