"""Which sequence of the KV cache serves a prompt, and how much of it is there already."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fimble.engine.llama import Context
from fimble.engine.shelf import Shelf, Stored
from fimble.engine.wire import Counters

#: Losing fewer evaluated tokens than this is cheaper than giving up another sequence for it.
_CHEAP_TAIL_TOKENS = 48

#: Below this many tokens a sequence is sooner evaluated again than put aside and taken back.
_WORTH_KEEPING_TOKENS = 64


@dataclass(slots=True, eq=False)
class Sequence:
    """A mirror of the tokens that one sequence holds in llama.cpp's cache.

    While it ``is_held`` somebody is at work in it: others may share its beginning, nobody may cut or take it.
    """

    id: int
    tokens: list[int] = field(default_factory=list)
    session: str = ""
    used: int = 0
    is_held: bool = False


class Sequences:
    """The sequences of one context, and those put aside.  Belongs to its lane's thread, but for ``receive``.

    With *can_roll_back* off (recurrent models) a sequence can only be gone on with where it ends.
    """

    def __init__(
        self,
        context: Context,
        count: int,
        *,
        shelf: Shelf | None = None,
        can_roll_back: bool = True,
        counters: Counters | None = None,
    ) -> None:
        self._context = context
        self._all = [Sequence(i) for i in range(count)]
        self._shelf = shelf or Shelf(0)
        self._received: deque[Stored] = deque(maxlen=count)
        self._can_roll_back = can_roll_back
        self._counters = counters or Counters()
        self._clock = 0

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def reusable(self, tokens: list[int]) -> int:
        """How many of *tokens* need no evaluation, as things are now."""
        held = [s.tokens for s in self._all] + [stored.tokens for stored in self._copies()]
        return max(self._shared(one, tokens) for one in held)

    def acquire(self, tokens: list[int], session: str) -> tuple[Sequence, int]:
        """The sequence to go on with, cut to what it shares with *tokens*, and how long that is.

        At least the last token is left to evaluate: its logits are what generation starts from.  There must be
        a sequence that nobody holds.
        """
        self._clock += 1
        best = max(
            self._all, key=lambda s: (self._shared(s.tokens, tokens), not s.is_held, s.session == session, s.used)
        )
        if stored := self._best_stored(tokens, self._shared(best.tokens, tokens)):
            best = self._take_back(stored, session, keep=best) or best
        shared = self._shared(best.tokens, tokens)
        lost = len(best.tokens) - shared
        is_anothers = best.session != session and lost > _CHEAP_TAIL_TOKENS
        if best.is_held or (is_anothers and any(s is not best and not s.is_held for s in self._all)):
            best = self._branch(best, shared, session)
        elif lost:
            if is_anothers or shared < len(best.tokens) // 2:
                self._put_aside(best)
            self.truncate(best, shared)
        best.session, best.used = session, self._clock
        return best, len(best.tokens)

    def _shared(self, held: list[int], tokens: list[int]) -> int:
        """How many tokens of *held* a prompt of *tokens* can start from."""
        shared = min(common_prefix(held, tokens), len(tokens) - 1)
        return shared if self._can_roll_back or shared == len(held) else 0

    def _branch(self, source: Sequence, shared: int, session: str) -> Sequence:
        """Another sequence that begins like *source*: a copy, which is milliseconds where evaluating is seconds."""
        target = self._vacate(session, keep=source)
        if shared and self._context.restore(target.id, self._context.save(source.id)):
            target.tokens = list(source.tokens)
            if shared < len(target.tokens):
                self.truncate(target, shared)
        return target

    def _vacate(self, session: str, keep: Sequence | None) -> Sequence:
        """An empty sequence: this session's own, one that is empty already, or the longest unused."""
        others = [s for s in self._all if s is not keep and not s.is_held]
        target = min(others, key=lambda s: (s.session != session, bool(s.tokens), s.used))
        self._put_aside(target)
        self.truncate(target, 0)
        return target

    def _best_stored(self, tokens: list[int], shared: int) -> Stored | None:
        """What was put aside and would save much against the *shared* tokens that are there."""
        best = max(self._copies(), key=lambda stored: self._shared(stored.tokens, tokens), default=None)
        if best is None or self._shared(best.tokens, tokens) < shared + _WORTH_KEEPING_TOKENS:
            return None
        return best

    def _copies(self) -> list[Stored]:
        """What can be taken back."""
        return [*self._received, *self._shelf]

    def give(self, is_wanted: Callable[[str], bool]) -> Iterator[Stored]:
        """Copies of what such sessions have here, for another context to ``receive``; here it is forgotten."""
        for sequence in self._all:
            if not sequence.is_held and is_wanted(sequence.session):
                if len(sequence.tokens) >= _WORTH_KEEPING_TOKENS:
                    yield Stored(list(sequence.tokens), self._context.save(sequence.id))
                self.truncate(sequence, 0)
                sequence.session = ""

    def receive(self, stored: Stored) -> None:
        """Keep what another context gave until it is asked for.  Any thread."""
        self._received.append(stored)

    def _take_back(self, stored: Stored, session: str, keep: Sequence) -> Sequence | None:
        """*stored* in a sequence of its own; None when there is no room for it."""
        has_other = any(s is not keep and not s.is_held for s in self._all)
        target = self._vacate(session, keep if has_other else None)
        if stored in self._received:
            self._received.remove(stored)
        if not self._context.restore(target.id, stored.state):
            return None
        self._shelf.touch(stored)
        self._counters.taken_back += 1
        target.tokens, target.session = list(stored.tokens), session
        return target

    def checkpoint(self, sequence: Sequence) -> None:
        """Keep what *sequence* holds now, to go on from here again."""
        self._put_aside(sequence)

    def _put_aside(self, sequence: Sequence) -> None:
        """Copy *sequence*, unless it is short or such a copy is there already."""
        tokens = sequence.tokens
        if len(tokens) < _WORTH_KEEPING_TOKENS or not self._shelf.max_bytes:
            return
        slack = _CHEAP_TAIL_TOKENS if self._can_roll_back else 0
        for stored in self._shelf:
            shared = common_prefix(stored.tokens, tokens)
            if shared >= len(tokens) - slack and (self._can_roll_back or len(stored.tokens) == len(tokens)):
                self._shelf.touch(stored)
                return
            if self._can_roll_back and shared >= len(stored.tokens) - slack:
                self._shelf.remove(stored)
        self._shelf.put(Stored(list(tokens), self._context.save(sequence.id)))
        self._counters.put_aside += 1

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


def common_prefix(a: list[int], b: list[int]) -> int:
    """How many tokens two prompts share from their start."""
    # Equal slices compare in C; only the place of the first difference is searched, by halving.
    low, high = 0, min(len(a), len(b))
    while low < high:
        mid = (low + high + 1) // 2
        if a[low:mid] == b[low:mid]:
            low = mid
        else:
            high = mid - 1
    return low
