"""Which sequence of the KV cache serves a prompt, and how much of it is there already."""

from __future__ import annotations

from dataclasses import dataclass, field

from fimble.engine.llama import Context

#: Losing fewer evaluated tokens than this is cheaper than giving up another sequence for it.
_CHEAP_TAIL_TOKENS = 48


@dataclass(slots=True)
class Sequence:
    """A mirror of the tokens that one sequence holds in llama.cpp's cache."""

    id: int
    tokens: list[int] = field(default_factory=list)
    session: str = ""
    used: int = 0


class Sequences:
    """The sequences of one context.  Belongs to the inference thread."""

    def __init__(self, context: Context, count: int) -> None:
        self._context = context
        self._all = [Sequence(i) for i in range(count)]
        self._clock = 0

    def acquire(self, tokens: tuple[int, ...], session: str) -> tuple[Sequence, int]:
        """The sequence to go on with, cut to what it shares with *tokens*, and how long that is.

        At least the last token is left to evaluate: its logits are what generation starts from.
        """
        self._clock += 1
        best = max(self._all, key=lambda s: (common_prefix(s.tokens, tokens), s.session == session, s.used))
        shared = min(common_prefix(best.tokens, tokens), len(tokens) - 1)
        lost = len(best.tokens) - shared
        if best.session != session and lost > _CHEAP_TAIL_TOKENS:
            best = self._branch(best, shared, session)
        elif lost:
            self.truncate(best, shared)
        best.session, best.used = session, self._clock
        return best, len(best.tokens)

    def _branch(self, source: Sequence, shared: int, session: str) -> Sequence:
        """Another sequence that begins like *source*: this session's own, an empty one, or the longest unused."""
        others = [s for s in self._all if s is not source]
        target = min(others, key=lambda s: (s.session != session, bool(s.tokens), s.used))
        self.truncate(target, 0)
        if shared:
            self._context.share(source.id, target.id, shared)
            target.tokens = source.tokens[:shared]
        return target

    def truncate(self, sequence: Sequence, length: int) -> None:
        """Forget a sequence from *length* on; all of it where the model's cache cannot be cut."""
        if length and self._context.truncate(sequence.id, length):
            del sequence.tokens[length:]
        else:
            self._context.clear(sequence.id)
            sequence.tokens.clear()

    def resync(self, sequence: Sequence) -> None:
        """After an aborted or failed decode: believe the cache, not the mirror."""
        held = self._context.length(sequence.id)
        if held < len(sequence.tokens):
            del sequence.tokens[held:]
        elif held > len(sequence.tokens):
            self.truncate(sequence, len(sequence.tokens))

    def evict_one(self, keep: Sequence) -> bool:
        """Free the cells of the longest unused sequence; False if there is none but *keep*."""
        victims = [s for s in self._all if s is not keep and s.tokens]
        if not victims:
            return False
        self.truncate(min(victims, key=lambda s: s.used), 0)
        return True


def common_prefix(a: list[int], b: tuple[int, ...]) -> int:
    """How many tokens two prompts share from their start."""
    limit = min(len(a), len(b))
    # Equal slices compare in C; only the place of the first difference is searched, by halving.
    low, high = 0, limit
    while low < high:
        mid = (low + high + 1) // 2
        if tuple(a[low:mid]) == b[low:mid]:
            low = mid
        else:
            high = mid - 1
    return low
