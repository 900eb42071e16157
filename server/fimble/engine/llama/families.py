"""The families of fill-in-the-middle models: how their tokens are spelled, and in which order they were trained.

Where a family's order is known from is said at its entry; models/PROMPT.md shows all of them side by side.  A model of
no known family is asked with the tokens that its file names (or llama.cpp finds), the prefix first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """In which order a model was trained on the parts of a prompt."""

    suffix_first: bool = False
    path_in_prefix: bool = False
    """The name of the current file stands behind the prefix token, not before it."""
    repo_end: str = "\n"
    """What stands between the name of the repository and the first file."""
    file_mark: str = ""
    """How the name of a file begins for a model that has no token for files; empty: the current one is not named."""


@dataclass(frozen=True, slots=True)
class Family:
    """The spellings of a family's tokens; a vocabulary that has them all belongs to it."""

    name: str
    prefix: str
    suffix: str
    middle: str = ""
    """Empty where the answer goes on after the prefix."""
    repo: str = ""
    file: str = ""
    layout: Layout = Layout()
    called: str = ""
    """A pattern that the model's name has to match: others have these tokens and were trained otherwise, if at all."""

    def is_named(self, name: str) -> bool:
        """Whether a model that is called *name* may belong to it."""
        return not self.called or re.search(self.called, plain(name)) is not None


_STARCODER = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")

#: The first that fits counts.
FAMILIES = (
    # JetBrains' card of Mellum-4b-base.  Mellum 2 has the tokens too; nothing public says that it kept the order.
    Family(
        "Mellum", *_STARCODER, file="<filename>", layout=Layout(suffix_first=True), called=r"mellum(?!-?(v)?[2-9]\b)"
    ),
    # Section 5.1 of the StarCoder 2 paper (arXiv 2402.19173).
    Family(
        "StarCoder2",
        *_STARCODER,
        repo="<repo_name>",
        file="<file_sep>",
        layout=Layout(path_in_prefix=True, repo_end=""),
    ),
    # The read-me of CodeQwen1.5; for the file around the hole it has no example, and its successor's order is taken.
    Family("CodeQwen", *_STARCODER, repo="<reponame>", file="<file_sep>"),
    # Section 3.2 of the Qwen2.5-Coder report (arXiv 2409.12186) and its example of a repository; our own models.
    Family(
        "Qwen-Coder",
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        repo="<|repo_name|>",
        file="<|file_sep|>",
    ),
    # DeepSeek-Coder's read-me: the hole, and other files in a repository's prompt.
    Family("DeepSeek-Coder", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", layout=Layout(file_mark="#")),
    # `infilling_prompt_tokens` of Meta's own code.
    Family("CodeLlama", "▁<PRE>", "▁<SUF>", "▁<MID>"),
    # ByteDance's card of Seed-Coder-8B-Base.
    Family("Seed-Coder", "<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>", layout=Layout(suffix_first=True)),
    # mistral-common's `encode_fim`; the marks of files are Continue's.  All models of Mistral have these tokens.
    Family(
        "Codestral",
        "[PREFIX]",
        "[SUFFIX]",
        layout=Layout(suffix_first=True, file_mark="+++++ "),
        called="codestral",
    ),
)

#: Tokens that no answer goes on behind, in whatever family: ends of middles and files, and beginnings of other things.
#: Not every GGUF marks them as such.  CodeLlama ends a middle with <EOT>, CodeGemma with <|file_separator|>.
ENDS = (
    *("<EOT>", "▁<EOT>", "<|EOT|>", "<|file_separator|>", "<|endoftext|>", "<|end_of_text|>"),
    *("<|file_sep|>", "<file_sep>", "<filename>", "<|repo_name|>", "<repo_name>", "<reponame>", "<gh_stars>"),
    *("<|fim_pad|>", "<fim_pad>", "[PREFIX]", "[SUFFIX]", "[MIDDLE]", "<|im_start|>", "<|im_end|>"),
    *("<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<[end▁of▁sentence]>", "<[begin▁of▁sentence]>"),
)


def plain(name: str) -> str:
    """A model's name for comparing: ``Qwen2.5 Coder_7B`` is ``qwen2.5-coder-7b``."""
    return re.sub(r"[\s_]+", "-", name.lower())


_ONLY_CHAT = "its vocabulary has the tokens, but it was made to chat and not trained to fill in what is missing"

#: Models whose vocabulary has tokens that they were not trained on.  What is said of each is its makers' word, or that
#: of llama.cpp's author; of others nobody says so, and whether they can is tried.  A chat template is no reason:
#: Qwen2.5-Coder-Instruct (Qwen3-Coder issue 206), Granite's and CodeLlama-Instruct fill in the middle.
_UNTRAINED = (
    # DeepSeek-Coder issue 80: "we don't use FIM task during fine-tuning".
    (r"deepseek-coder(?!-?v[2-9])[\w.-]*-instruct", _ONLY_CHAT),
    # llama.vscode issue 55, about Qwen3: "not supposed to be used for FIM".
    (r"^(?!.*(coder|base)).*\bqwen-?3-\d", _ONLY_CHAT),
    (r"\bqwq-|\br1-distill", "it writes down its thoughts before it answers"),
    # Google's card of CodeGemma has code completion for the pretrained models only.
    (r"\bcodegemma-[\w.]+-it\b", _ONLY_CHAT),
    # [PREFIX] and [SUFFIX] are in Mistral's tokenizers since their second version.
    (
        r"^(?!.*codestral).*\b(mistral|mixtral|ministral|devstral|magistral|mathstral|pixtral)\b",
        "of Mistral's models only Codestral is trained to fill in what is missing",
    ),
)


def why_untrained(name: str) -> str:
    """Why a model that is called *name* cannot fill in the middle, whatever its vocabulary has; empty if it may."""
    if re.search(r"\bfim\b|infill", plain(name)):  # somebody has trained it since
        return ""
    return next((reason for pattern, reason in _UNTRAINED if re.search(pattern, plain(name))), "")
