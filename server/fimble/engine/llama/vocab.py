"""Text to tokens and back, through llama.cpp's tokeniser."""

from __future__ import annotations

import ctypes
import itertools
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import llama_cpp.llama_cpp as llama

from fimble.errors import EngineError


class FimTokens(NamedTuple):
    """The ids of the fill-in-the-middle tokens; None where the model has none."""

    prefix: int
    suffix: int
    middle: int | None
    """None where the answer simply goes on after the prefix (Codestral)."""
    repo: int | None
    file: int | None


class SuffixFirst(FimTokens):
    """Of a model that was trained with the suffix before the prefix."""


#: Families that llama.cpp does not recognise, by their prefix, suffix and middle tokens.  All have the suffix first.
_SPELLINGS = (
    ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),  # Seed-Coder
    ("[PREFIX]", "[SUFFIX]", None),  # Codestral
)


class Vocab:
    """Text to tokens and back.  User text never becomes a control token."""

    def __init__(self, vocab: Any, name: str = "") -> None:
        """*name* is the model's own: some families cannot be told by their tokens."""
        self._vocab = vocab
        self.size: int = llama.llama_vocab_n_tokens(vocab)
        self.bos: int | None = self._id(llama.llama_vocab_bos(vocab)) if llama.llama_vocab_get_add_bos(vocab) else None
        self.fim = self._mellum() if "mellum" in name.lower() else self._fim() or self._by_spelling()
        # One prompt is its long, unchanging segments and a short typed tail: only the tail is new at a keystroke.
        self.tokenize: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=128)(self._tokenize)
        self.piece: Callable[[int], bytes] = lru_cache(maxsize=None)(self._piece)

    @staticmethod
    def _id(token: int) -> int | None:
        return None if token < 0 else token

    def _fim(self) -> FimTokens | None:
        """The fill-in-the-middle ids that the GGUF names or that llama.cpp found by their text."""
        prefix, suffix, middle, repo, file = (
            self._id(find(self._vocab))
            for find in (
                llama.llama_vocab_fim_pre,
                llama.llama_vocab_fim_suf,
                llama.llama_vocab_fim_mid,
                llama.llama_vocab_fim_rep,
                llama.llama_vocab_fim_sep,
            )
        )
        if prefix is None or suffix is None or middle is None:
            return None
        return FimTokens(prefix, suffix, middle, repo, file)

    def _by_spelling(self) -> FimTokens | None:
        for prefix_text, suffix_text, middle_text in _SPELLINGS:
            prefix, suffix = self._special(prefix_text), self._special(suffix_text)
            middle = self._special(middle_text) if middle_text else None
            if prefix is not None and suffix is not None and (middle is not None or not middle_text):
                return SuffixFirst(prefix, suffix, middle, None, None)
        return None

    def _mellum(self) -> FimTokens | None:
        """StarCoder's tokens, but the suffix first; files begin with a token that llama.cpp takes for none of these."""
        found = self._fim()
        return found and SuffixFirst(*found[:4], self._special("<filename>"))

    def _special(self, text: str) -> int | None:
        """The control token that is spelled *text*."""
        data = text.encode()
        tokens = (llama.llama_token * len(data))()
        count = llama.llama_tokenize(self._vocab, data, len(data), tokens, len(data), False, True)
        return tokens[0] if count == 1 and self._text(tokens[0]) == text else None

    def _tokenize(self, text: str) -> tuple[int, ...]:
        tokens = self._tokenize_as_is(text)
        reserved = {token for token in self.fim or () if token is not None}
        found = reserved.intersection(tokens)
        if not found:
            return tokens
        # This GGUF does not mark its FIM tokens as control tokens, and then llama.cpp finds them in text whatever
        # it is told.  Text that spells one is cut after its first character, and each part is tokenised by itself.
        spelled = "|".join(re.escape(self._text(token)) for token in found)
        cuts = [0, *(match.start() + 1 for match in re.finditer(spelled, text)), len(text)]
        return tuple(t for a, b in itertools.pairwise(cuts) for t in self._tokenize_as_is(text[a:b]))

    def _text(self, token: int) -> str:
        text: bytes = llama.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    def _tokenize_as_is(self, text: str) -> tuple[int, ...]:
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        tokens = (llama.llama_token * size)()
        count = llama.llama_tokenize(self._vocab, data, len(data), tokens, size, False, False)
        if count < 0:
            raise EngineError(f"llama.cpp could not tokenise {len(data)} bytes.")
        return tuple(tokens[:count])

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(512)
        count = llama.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return bytes(buffer.raw[:count]) if count > 0 else b""

    def pieces(self) -> list[bytes]:
        """The bytes of every token, by id; empty for those that end an answer.  Any thread; 0.2 s for 150,000."""
        # Looked up anew, the functions have no argument types to convert: four times as fast.
        render, is_eog = (llama._lib[name] for name in ("llama_token_to_piece", "llama_vocab_is_eog"))
        vocab = ctypes.c_void_p(ctypes.cast(self._vocab, ctypes.c_void_p).value)
        buffer = ctypes.create_string_buffer(64)
        fim = set(self.fim or ())
        found = []
        for token in range(self.size):
            count = render(vocab, token, buffer, len(buffer), 0, False)
            if count > 0 and token not in fim and not is_eog(vocab, token) & 0xFF:
                found.append(buffer.raw[:count])
            else:
                # Control tokens have no bytes; a piece longer than the buffer has a negative count.
                found.append(self._piece(token) if count < 0 and not self.is_end(token) else b"")
        return found

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer, or is a control token that must never reach a person."""
        if self.fim and token in self.fim:
            return True
        return bool(llama.llama_vocab_is_eog(self._vocab, token) or llama.llama_vocab_is_control(self._vocab, token))
