"""Models from the Hugging Face hub, or from whatever speaks like it (``HF_ENDPOINT``).

Nobody else imports huggingface_hub, and nothing that completes code imports this.  Whoever the user is to the hub, and
where its cache is, is settled as for every other program that uses it: ``HF_TOKEN``, ``HF_HOME``, ``HF_HUB_CACHE``,
``HF_HUB_OFFLINE``.

The bytes come by plain HTTP and not by hf_xet, which the hub offers beside it: an answer that broke off is then gone on
with, also by another process, and every proxy understands it.
"""

from __future__ import annotations

import os

# Read by huggingface_hub when it is imported.  The first also keeps it from asking which program runs it.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
