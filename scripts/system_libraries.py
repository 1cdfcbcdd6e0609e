"""See that the system libraries the tests need are there; as root on Debian, install them.

Elsewhere one line names what is missing and the exit status is 1. The programs that check exported
reports are installed too, so that no test that uses them is skipped in CI; elsewhere their tests
are skipped with a reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from napari_ct_assistant.commands.system_libraries import describe, missing_libraries

# Program -> Debian package: a validator of DICOM files, and a reader of PDF text.
CHECKERS = {"dciodvfy": "dicom3tools", "pdftotext": "poppler-utils"}


def main() -> int:
    missing = missing_libraries(tests=True)
    packages = [library.package for library in missing]
    packages += [package for name, package in CHECKERS.items() if shutil.which(name) is None]
    if packages and shutil.which("apt-get") and os.geteuid() == 0:
        print("installing", *packages, flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(
                ["apt-get", *arguments], env=environment, stdout=subprocess.DEVNULL, check=False
            )
            if done.returncode:
                print(f"apt-get {arguments[0]} failed ({done.returncode})", file=sys.stderr)
                return 1
        missing = missing_libraries(tests=True)
    if missing:
        print(describe(missing), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
