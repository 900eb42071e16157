"""The anchored window: a prompt that survives typing.

Prefix and suffix are cut at the *anchor*, the start of the line where typing began, and stay exactly as they
are while the user types below it.  What was typed since goes after the middle token.  So the engine finds all
but the last token or two of each prompt in its cache.

Snippets of other files stand before all that, so they belong to the frame, too: what is found while the user types
waits for a pause, in which the frame that has it is evaluated and takes over.

A frame serves as long as it is true.  A new one is needed when the text above the anchor or after the cursor was
edited, the cursor jumped, or too much was typed.  Earlier frames are kept for a while: who looks something up
elsewhere and comes back finds the engine's cache as it was.  In idle moments the next frame is prepared *ahead*, so
that the key that needs it finds it warm.
"""

from __future__ import annotations

from dataclasses import dataclass

from fimble.core import Document, Snippet

#: The most that a prompt takes from each side, in characters.  The engine cuts further, by tokens.
_PREFIX_CHARS = 6000
_SUFFIX_CHARS = 2000

#: Windows begin at multiples of this many characters (at the next line start), so that a new anchor a few lines
#: further down still begins its prompt with the same text.
_BLOCK_CHARS = 2048

#: More typing than this below one anchor, and a new one is chosen.
_MAX_TYPED_CHARS = 1500

#: After this much of it the next anchor is prepared, as soon as the engine has nothing better to do.
_AHEAD_CHARS = 600

#: Places in one document between which one can go back and forth.
_FRAMES_PER_DOCUMENT = 4

#: What editors close by themselves.  Such characters stand between the cursor and the suffix for a while; they
#: are for trimming the answer, and do not make the cached suffix untrue.
_CLOSERS = frozenset(")]}>\"'`;")
_MAX_CLOSERS = 8


@dataclass(frozen=True, slots=True)
class Window:
    """One keystroke's view: ``prefix`` and ``suffix`` as they were at the anchor, and what was typed since."""

    prefix: str
    typed: str
    suffix: str
    closers: str = ""
    """Auto-closed characters between the cursor and the suffix."""
    snippets: tuple[Snippet, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands still in a document's prompt: the anchor, and prefix, suffix and snippets as they were then."""

    start: int
    anchor: int
    prefix: str
    suffix: str
    at_end: bool
    """Whether the suffix reaches to the end of the file, so that text after it makes it untrue."""
    snippets: tuple[Snippet, ...] = ()

    def window(self, source: str, offset: int, closers: str = "") -> Window:
        """The view of *source* at *offset* in this frame."""
        return Window(self.prefix, source[self.anchor : offset], self.suffix, closers, self.snippets)


class Anchors:
    """The frames of the documents that were asked about lately."""

    def __init__(self, limit: int = 64) -> None:
        self._frames: dict[str, tuple[Frame, ...]] = {}
        self._snippets: dict[str, tuple[Snippet, ...]] = {}
        self._limit = limit

    def window(self, document: Document, offset: int) -> Window:
        """The window at *offset*, in the frame that was used last of those that are still true, else in a new one."""
        source = document.text.source
        frame, closers = self._true(document, offset) or (self._new_frame(document, offset), "")
        self.adopt(document.uri, frame)
        return frame.window(source, offset, closers)

    def ahead(self, document: Document, offset: int) -> Frame | None:
        """The frame that the next keys at *offset* will need and do not have; None while they have a good one."""
        found = self._true(document, offset)
        wanted = self.snippets(document.uri)
        if found and found[0].snippets == wanted and offset - found[0].anchor < _AHEAD_CHARS:
            return None
        frame = self._new_frame(document, offset)
        return None if found and (found[0].anchor, found[0].snippets) == (frame.anchor, wanted) else frame

    def snippets(self, uri: str) -> tuple[Snippet, ...]:
        """What a document's next frames begin with."""
        return self._snippets.get(uri, ())

    def want(self, uri: str, snippets: tuple[Snippet, ...]) -> None:
        """Let a document's next frames begin with *snippets*; the present ones stay as they are."""
        self._snippets[uri] = snippets

    def adopt(self, uri: str, frame: Frame) -> None:
        """Prefer *frame* from now on, as long as it is true."""
        others = [other for other in self._frames.pop(uri, ()) if other != frame]
        # Re-inserted at the end: the oldest is first.
        self._frames[uri] = (*others[-(_FRAMES_PER_DOCUMENT - 1) :], frame)
        if len(self._frames) > self._limit:
            self.forget(next(iter(self._frames)))

    def forget(self, uri: str) -> None:
        """Drop what is known of a closed document."""
        self._frames.pop(uri, None)
        self._snippets.pop(uri, None)

    def _new_frame(self, document: Document, offset: int) -> Frame:
        return _frame(document, offset, self.snippets(document.uri))

    def _true(self, document: Document, offset: int) -> tuple[Frame, str] | None:
        for frame in reversed(self._frames.get(document.uri, ())):
            closers = _still_true(frame, document.text.source, offset)
            if closers is not None:
                return frame, closers
        return None


def _frame(document: Document, offset: int, snippets: tuple[Snippet, ...]) -> Frame:
    text = document.text
    source = text.source
    anchor = text.line_start(text.line_of(offset))
    # In a very long line the anchor stands inside of it, in steps, so that it moves rarely.
    anchor += (offset - anchor) // _MAX_TYPED_CHARS * _MAX_TYPED_CHARS
    start = max(0, anchor - _PREFIX_CHARS)
    if start:
        start = -(-start // _BLOCK_CHARS) * _BLOCK_CHARS
        start = min(text.line_start(min(text.line_of(start) + 1, text.line_of(anchor))), anchor)
        start = max(start, anchor - _PREFIX_CHARS)
    # The end of the suffix is snapped to a line end, so that the model never sees half a line there.
    end = min(len(source), offset + _SUFFIX_CHARS)
    if end < len(source):
        line = text.line_start(text.line_of(end))
        end = line if line > offset else end
    return Frame(start, anchor, source[start:anchor], source[offset:end], end == len(source), snippets)


def _still_true(frame: Frame, source: str, offset: int) -> str | None:
    """The auto-closed characters at the cursor if *frame* still describes *source*, else None."""
    if not frame.anchor <= offset <= frame.anchor + _MAX_TYPED_CHARS:
        return None
    if source[frame.start : frame.anchor] != frame.prefix:
        return None
    for count in range(_MAX_CLOSERS + 1):
        if count and (offset + count > len(source) or source[offset + count - 1] not in _CLOSERS):
            return None
        end = offset + count + len(frame.suffix)
        if source.startswith(frame.suffix, offset + count) and (not frame.at_end or end == len(source)):
            return source[offset : offset + count]
    return None
