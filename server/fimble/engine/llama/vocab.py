"""Text to tokens and back, through llama.cpp's tokeniser."""

from __future__ import annotations

import ctypes
import itertools
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import llama_cpp.llama_cpp as llama

from fimble.engine.llama.families import ENDS, FAMILIES, Layout
from fimble.errors import EngineError


class FimTokens(NamedTuple):
    """The ids of the fill-in-the-middle tokens; None where the model has none."""

    prefix: int
    suffix: int
    middle: int | None
    """None where the answer simply goes on after the prefix (Codestral)."""
    repo: int | None
    file: int | None


#: Stands before a text whose first word is not to get a space; no vocabulary joins it with what follows.
_LINE_END = "\n"


class Vocab:
    """Text to tokens and back.  User text never becomes a control token."""

    def __init__(self, vocab: Any, name: str = "") -> None:
        """*name* is the model's own: some families cannot be told by their tokens."""
        self._vocab = vocab
        self.size: int = llama.llama_vocab_n_tokens(vocab)
        self.bos: int | None = self._id(llama.llama_vocab_bos(vocab)) if llama.llama_vocab_get_add_bos(vocab) else None
        is_sentencepiece = llama.llama_vocab_type(vocab) == llama.LLAMA_VOCAB_TYPE_SPM
        self._by_text = self._texts() if is_sentencepiece else None
        self.family, self.layout = "", Layout()
        self.fim = self._known(name) or self._fim()
        self.markers = frozenset((*(self.fim or ()), *map(self._special, ENDS))) - {None}
        """Every token that this model may only get from us, and that ends an answer."""
        # SentencePiece puts a space before a text, so that its first word is like any other.
        self._line_end = self._as_is(_LINE_END) if self._as_is("a") != self._as_is(_LINE_END + "a")[-1:] else ()
        # One prompt is its long, unchanging segments and a short typed tail: only the tail is new at a keystroke.
        self.tokenize: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=128)(self._tokenize)
        self.tokenize_first: Callable[[str], tuple[int, ...]] = lru_cache(maxsize=32)(self._tokenize_first)
        self.piece: Callable[[int], bytes] = lru_cache(maxsize=None)(self._piece)

    @staticmethod
    def _id(token: int) -> int | None:
        return None if token < 0 else token

    def _known(self, name: str) -> FimTokens | None:
        """The tokens of a family that is known by their spelling, and by *name* where that tells it from others."""
        for family in FAMILIES:
            spelled = (family.prefix, family.suffix, family.middle, family.repo, family.file)
            prefix, suffix, middle, repo, file = (self._special(text) if text else None for text in spelled)
            if prefix is None or suffix is None or not family.is_named(name):
                continue
            if all(found is not None for found, text in zip((middle, repo, file), spelled[2:], strict=True) if text):
                self.family, self.layout = family.name, family.layout
                # What the file itself names counts more than what its tokens look like.
                named = self._fim() if middle is not None else None
                return FimTokens(*(named or (prefix, suffix, middle))[:3], repo, file)
        return None

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
        # A repository's name is of use where its files are told apart (some have the token by inheritance alone).
        return FimTokens(prefix, suffix, middle, None if file is None else repo, file)

    def _special(self, text: str) -> int | None:
        """The control token that is spelled *text*."""
        if self._by_text is not None:
            return self._by_text.get(text.encode())
        data = text.encode()
        tokens = (llama.llama_token * len(data))()
        count = llama.llama_tokenize(self._vocab, data, len(data), tokens, len(data), False, True)
        return tokens[0] if count == 1 and self.text(tokens[0]) == text else None

    def _texts(self) -> dict[bytes, int]:
        """Every token by its spelling (20 ms for 32,000).

        Of SentencePiece's vocabularies, older files mark no token as special, so that no tokenizing finds them.
        """
        spelling, vocab = llama._lib.llama_vocab_get_text, self._bare()
        spelling.restype = ctypes.c_char_p
        return {spelling(vocab, token): token for token in range(self.size)}

    def _bare(self) -> ctypes.c_void_p:
        """llama.cpp's pointer for functions that are called too often to have argument types to convert."""
        return ctypes.c_void_p(ctypes.cast(self._vocab, ctypes.c_void_p).value)

    def _tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of *text* where it goes on after other text."""
        return self._without_markers(text, self._going_on)

    def _tokenize_first(self, text: str) -> tuple[int, ...]:
        """The tokens of *text* where nothing but control tokens stands before it."""
        return self._without_markers(text, self._as_is)

    def _without_markers(self, text: str, tokenize: Callable[[str], tuple[int, ...]]) -> tuple[int, ...]:
        tokens = tokenize(text)
        found = self.markers.intersection(tokens)
        if not found:
            return tokens
        # This GGUF does not mark its FIM tokens as control tokens, and then llama.cpp finds them in text whatever
        # it is told.  Text that spells one is cut after its first character, and each part is tokenised by itself.
        spelled = {text for token in found for text in _spellings(self.text(token))}
        pattern = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
        cuts = [0, *(match.start() + 1 for match in re.finditer(pattern, text)), len(text)]
        parts = [text[start:end] for start, end in itertools.pairwise(cuts)]
        return (*tokenize(parts[0]), *(token for part in parts[1:] for token in self._going_on(part)))

    def _going_on(self, text: str) -> tuple[int, ...]:
        if not self._line_end or not text:
            return self._as_is(text)
        return self._as_is(_LINE_END + text)[len(self._line_end) :]

    def text(self, token: int) -> str:
        """How the vocabulary spells *token*."""
        text: bytes = llama.llama_vocab_get_text(self._vocab, token)
        return text.decode("utf-8", "replace")

    def _as_is(self, text: str) -> tuple[int, ...]:
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
        vocab = self._bare()
        buffer = ctypes.create_string_buffer(64)
        found = []
        for token in range(self.size):
            count = render(vocab, token, buffer, len(buffer), 0, False)
            if count > 0 and token not in self.markers and not is_eog(vocab, token) & 0xFF:
                found.append(buffer.raw[:count])
            else:
                # Control tokens have no bytes; a piece longer than the buffer has a negative count.
                found.append(self._piece(token) if count < 0 and not self.is_end(token) else b"")
        return found

    def is_end(self, token: int) -> bool:
        """Whether the token ends an answer, or is a control token that must never reach a person."""
        if token in self.markers:
            return True
        return bool(llama.llama_vocab_is_eog(self._vocab, token) or llama.llama_vocab_is_control(self._vocab, token))


def _spellings(token_text: str) -> tuple[str, ...]:
    """How source may spell a token: SentencePiece writes a space as a low line, and puts one where there was none."""
    spaced = token_text.replace("\u2581", " ")
    return token_text, spaced, spaced.strip()
