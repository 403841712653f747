"""Attendex, the library: everything needed to open a collection and rank it.

Importing it switches off the telemetry of its dependencies, so that Attendex contacts only hosts that its user names,
and keeps their files in its cache.  This file runs before any module that imports them.
"""

import os
import sys
from contextlib import suppress

from retrieval.util.cache_folder import cache_folder

os.environ.setdefault("DO_NOT_TRACK", "1")  # huggingface_hub and transformers read it
# Without this module, openvino and nncf use a stub; with it, `import openvino` writes ~/intel and posts to Google.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
with suppress(RuntimeError):  # the user has no home folder
    # Without this name, torch makes a folder among the temporary files of the system.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "torchinductor"))
