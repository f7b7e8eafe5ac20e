"""Wheels made on the spot, for package managers to install without an index."""

import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
INHERITED = ("attrs", "httpx", "pyjwt", "cryptography", "watchfiles")
"""What our wheel needs. Each becomes a wheel that leads to the one of this environment."""


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    *,
    script: str = "",
    extras: tuple[str, ...] = (),
) -> None:
    """Write a pure wheel with these files; `script` is a console script's `name = module:f`."""
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += "".join(f"Provides-Extra: {extra}\n" for extra in extras)
    info = {
        "METADATA": about,
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if script:
        info["entry_points.txt"] = f"[console_scripts]\n{script}\n"
    contents = {**files, **{f"{stem}.dist-info/{name}": text for name, text in info.items()}}
    record = "".join(f"{path},{_digest(text)},{len(text)}\n" for path, text in contents.items())
    contents[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in contents.items():
            wheel.writestr(path, text)


def make_ours(folder: Path) -> Path:
    """Build the wheel of this checkout, and those of what it needs. Returns ours."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    packages = Path(attrs.__file__).resolve().parents[1]
    for name in INHERITED:
        extras = ("crypto",) if name == "pyjwt" else ()
        version = "0.28.0" if name == "httpx" else "1.9" if name == "watchfiles" else "2.99"
        version = "99.0" if name == "attrs" else version
        make_wheel(folder, name, version, {f"inherited_{name}.pth": f"{packages}\n"}, extras=extras)
    (ours,) = folder.glob("nas_sdk-*.whl")
    return ours


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
