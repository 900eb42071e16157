"""One keystroke, from the question to the suggestions.

    gate -> recall -> echo -> window -> model -> stop -> trim -> remember

Memory and echo answer in microseconds and without the engine.  The model is asked only when they have nothing
good enough, and is stopped as soon as its answer is complete or nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from math import exp
from typing import TYPE_CHECKING

from fimble import catalog, echo
from fimble.core import Ask, Document, Source, Suggestion, Trigger
from fimble.errors import FimbleError
from fimble.languages import are_related
from fimble.settings import Config
from fimble.stats import Stats
from fimble.store import Store
from fimble.suggest.confidence import Confidence
from fimble.suggest.evidence import Evidence, Streak, of_echo, of_model
from fimble.suggest.explanation import Explanation, Judged
from fimble.suggest.following import after_accept, new_line
from fimble.suggest.gate import Gate
from fimble.suggest.habits import Habits
from fimble.suggest.place import Place, unix_lines
from fimble.suggest.reactions import Reaction, Reactions
from fimble.suggest.recall import Memory
from fimble.suggest.sound import fit
from fimble.suggest.stop import Stop
from fimble.suggest.surroundings import Surroundings
from fimble.suggest.trim import trim
from fimble.suggest.writer import Writer
from fimble.syntax import Trees

if TYPE_CHECKING:
    from fimble.engine.client import EngineClient

#: How likely a suggestion must be accepted to be shown, by `suggest.eagerness`.  See scripts/bench.py keys.
LEAST_CONFIDENCE = {"eager": 0.27, "balanced": 0.44, "quiet": 0.8}

#: Other files are looked into when nothing has happened for so long, in seconds.
GATHER_IDLE_S = 0.3

#: What follows a suggestion is only seen by those who took that, or typed it: they are likely to go on so.
_LEAST_SHARE_OF_NEXT = 0.6

#: A repetition of so many characters is the model's draft.
_LEAST_DRAFT_CHARS = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a keystroke came to: suggestions, or why there are none."""

    suggestions: tuple[Suggestion, ...] = ()
    silence: str = ""


@dataclass(frozen=True, slots=True)
class _Copy:
    echo: echo.Echo
    suggestion: Suggestion


class Suggester:
    """The recipe, with what it needs to know between keystrokes.  One per window."""

    def __init__(
        self,
        config: Config,
        engine: EngineClient | None,
        store: Store | None = None,
        stats: Stats | None = None,
        on_failure: Callable[[FimbleError], None] = lambda _error: None,
        confidence: Confidence | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._config = config
        self._least = LEAST_CONFIDENCE[config.suggest.eagerness]
        self._echo_first = max(self._least, catalog.echo_first(config.model))
        self._confidence = confidence or Confidence()
        self._streak = Streak()
        self._stats = stats or Stats()
        self._surroundings = surroundings
        self._writer = Writer(config.suggest, engine, store, self._stats, on_failure, surroundings)
        self._gate = Gate(config)
        self._memory = Memory()
        self._trees = Trees()
        self._habits = Habits()
        #: Whoever shows suggestions tells it what is shown and what happens to the document then.
        self.reactions = Reactions(self._learn, on_rest_refused=self._forget_rest)

    async def suggest(self, ask: Ask) -> Outcome:
        """Answer *ask*.  Never raises for what a user, a model or an engine does; cancelling stops the engine, too."""
        started = time.perf_counter()
        place = Place.at(ask.document, ask.offset)
        if silence := self._gate.why_silent(ask):
            return Outcome(silence=silence)
        invoked = ask.trigger is Trigger.INVOKED
        if invoked:
            self._habits.forgive(ask.document.uri, place)
        elif self._habits.is_left_alone(ask.document.uri, place):
            return Outcome(silence="suggestions were dismissed here; asking by hand brings them back")
        self._look(ask)
        found = list(islice(self._recall(ask, place), None if invoked else 1))
        if found:
            self._expect(ask, found[0])
        if invoked or not found:
            candidates = await self.candidates(ask, quick=not invoked)
            least = self._least * (_LEAST_SHARE_OF_NEXT if ask.is_guess else 1)
            likely = (each for each in candidates if invoked or each.confidence >= least)
            # Parsing costs more than finding: what is not shown is not looked at.
            whole = filter(None, (self._sound(each, ask, place) for each in likely))
            found += islice(whole, None if invoked else 1)
        return self._conclude(ask, place, found, (time.perf_counter() - started) * 1000)

    def going_on_from(self, ask: Ask, word: str) -> Suggestion | None:
        """What memory, or a copy that is likely enough to be shown at *ask*, has behind *word*, if it begins with that.

        For an editor whose menu is about to put *word* in: what was found for the text as it stands knows more than
        what follows a word that nobody has written.  Asks no model.
        """
        place = Place.at(ask.document, ask.offset)
        if self._gate.why_silent(ask) or self._habits.is_left_alone(ask.document.uri, place):
            return None
        copies = (copy.suggestion for copy in self._copies(ask, place))
        likely = (copy for copy in copies if copy.confidence >= self._echo_first)
        for each in chain(self._recall(ask, place), likely):
            sound = self._sound(each, ask, place) if each.text.startswith(word) else None
            if sound and len(sound.text) > len(word):
                return dataclasses.replace(sound, text=sound.text[len(word) :])
        return None

    async def candidates(self, ask: Ask, *, quick: bool = False) -> list[Suggestion]:
        """What copies and the model say comes next, likely or not; the likeliest first.

        If *quick*, the model is not asked where a copy is likely enough.
        """
        self._look(ask)
        place = Place.at(ask.document, ask.offset)
        copies = self._copies(ask, place)
        found = [copy.suggestion for copy in copies]
        if not (quick and found and found[0].confidence >= self._echo_first):
            written = await self._written(ask, place, copies[0].echo if copies else None)
            found += [written] if written else []
        found.sort(key=lambda suggestion: -suggestion.confidence)
        if found:
            self._expect(ask, found[0])
        return found

    def _look(self, ask: Ask) -> None:
        if not ask.is_guess:
            self._streak.look(ask.document.uri, ask.document.text.source, ask.offset)

    def _expect(self, ask: Ask, suggestion: Suggestion) -> None:
        if not ask.is_guess:
            self._streak.note(ask.document.uri, ask.offset, suggestion.text)

    def why_off(self, document: Document | None) -> str:
        """The reason why nothing is suggested in *document* (None: anywhere), in words; empty if there is none."""
        return self._gate.why_off(document)

    async def warm(self, ask: Ask) -> None:
        """Have the engine evaluate what the next key at *ask* will need, if it does not have it.

        After a longer pause, look into other files, too.  For idle moments: the engine lets everybody else go first,
        and cancelling stops it.  Never raises.
        """
        if self._gate.why_silent(ask):
            return
        await self._writer.warm(ask)
        await asyncio.sleep(GATHER_IDLE_S)
        if self._trees.is_behind(ask.document.uri):
            await asyncio.to_thread(self._trees.catch_up, ask.document, ask.offset)
        if await self._writer.gather(ask):
            await self._writer.warm(ask)

    async def explain(self, ask: Ask) -> Explanation:
        """What is found at *ask*, likely or not, and why.  Takes its time.  Raises EngineError and ModelError."""
        if silence := self._gate.why_silent(ask):
            return Explanation(silence=silence)
        await self._writer.gather(ask)
        told = await self._writer.explain(ask)
        found = await self.candidates(ask)
        judged = (
            Judged(each, tuple(self._confidence.why(each.source, each.evidence)), each.confidence >= self._least)
            for each in found
        )
        return Explanation(told, tuple(judged))

    async def prefetch(self, ask: Ask, suggestion: Suggestion) -> tuple[Ask, Suggestion] | None:
        """Find what follows once *suggestion*, shown at *ask*, is accepted, so that it is in memory by then.

        Returns the question that will be asked then and its answer; None if nothing follows.  At the end of a line
        that is the next line.  For idle moments: the engine lets everybody else go first.  Never raises.
        """
        following = after_accept(ask, suggestion.text, suggestion.replaces)
        if found := (await self.suggest(following)).suggestions:
            return following, found[0]
        line = new_line(following)
        if not line or not (found := (await self.suggest(after_accept(following, line))).suggestions):
            return None
        below = dataclasses.replace(found[0], text=line + found[0].text)
        self._memory.remember(ask.document.uri, Place.at(following.document, following.offset), below.text)
        return following, below

    def _learn(self, ask: Ask, suggestion: Suggestion, reaction: Reaction) -> None:
        """*suggestion*, shown at *ask*, came to this.  Called once for each that was shown."""
        self._habits.note(ask.document.uri, Place.at(ask.document, ask.offset), reaction)
        if suggestion.evidence:
            self._confidence.learn(
                suggestion.source, suggestion.evidence, reaction in (Reaction.ACCEPTED, Reaction.TYPED)
            )
        if reaction is not Reaction.ACCEPTED:  # counted where the editor tells it
            self._stats.add(reaction, suggestion.source)

    def _forget_rest(self, ask: Ask, suggestion: Suggestion) -> None:
        """Words of *suggestion*, shown at *ask*, were taken, and the next one was not: it is judged anew."""
        self._memory.forget(ask.document.uri, Place.at(ask.document, ask.offset), suggestion.text)

    def is_writing_on(self, ask: Ask, document: Document | None) -> bool:
        """Whether the answer to *ask* is being written, and begins with what was typed until *document*."""
        return self._writer.is_writing_on(ask, document)

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self._writer.forget(uri)
        self._trees.forget(uri)
        self.reactions.closed(uri)

    def _conclude(self, ask: Ask, place: Place, found: list[Suggestion], latency_ms: float) -> Outcome:
        first: dict[str, Suggestion] = {}
        for suggestion in found:
            first.setdefault(suggestion.text, dataclasses.replace(suggestion, latency_ms=latency_ms))
        if ask.trigger is Trigger.AUTOMATIC:
            first = dict(islice(first.items(), 1))
        if not first:
            return Outcome(silence="nothing worth showing was found")
        suggestions = tuple(first.values())
        if suggestions[-1].source is not Source.MEMORY:
            self._memory.remember(ask.document.uri, place, *first)
        return Outcome(suggestions)

    def _recall(self, ask: Ask, place: Place) -> Iterator[Suggestion]:
        # It left the file sound when it was made, and what was typed of it since changes nothing about that.
        fitting = filter(None, (trim(text, place) for text in self._memory.recall(ask.document.uri, place)))
        return (Suggestion(shown.text, Source.MEMORY, shown.replaces) for shown in fitting)

    def _sound(self, suggestion: Suggestion, ask: Ask, place: Place) -> Suggestion | None:
        """As much of *suggestion* as leaves the file no worse."""
        spot = self._trees.at(ask.document, ask.offset)
        shown = fit(suggestion.text, place, spot, multiline=self._config.suggest.multiline)
        return dataclasses.replace(suggestion, text=shown.text, replaces=shown.replaces) if shown else None

    def _copies(self, ask: Ask, place: Place) -> list[_Copy]:
        """The copies that fit here, the likeliest first."""
        if not self._config.suggest.echo:
            return []
        source, reach = ask.document.text.source, echo.MAX_SEARCH_CHARS
        others: Iterable[str] = (
            unix_lines(other.text.source[-reach:])
            for other in ask.others
            if are_related(ask.document.language, other.language) and not self._gate.is_excluded(other.path)
        )
        if self._surroundings:
            others = chain(others, self._surroundings.copies(ask.document.uri))
        before = unix_lines(source[max(0, ask.offset - reach) : ask.offset])
        after = unix_lines(source[ask.offset : ask.offset + reach])
        found = []
        for each in echo.find(before, after, others):
            if shown := trim(each.text, place):
                evidence = of_echo(each, place, self._streak)
                likely = self._confidence.of(Source.ECHO, evidence)
                suggestion = Suggestion(shown.text, Source.ECHO, shown.replaces, confidence=likely, evidence=evidence)
                found.append(_Copy(each, suggestion))
        return sorted(found, key=lambda copy: -copy.suggestion.confidence)

    async def _written(self, ask: Ask, place: Place, copy: echo.Echo | None) -> Suggestion | None:
        """What the model writes here, or wrote in an earlier session."""
        answer = await self._writer.stored(ask, place)
        if answer is None:
            stop = Stop(place, self._config.suggest.multiline, self._trees.at(ask.document, ask.offset))
            is_draft = copy is not None and copy.match_chars >= _LEAST_DRAFT_CHARS
            answer = await self._writer.write(ask, stop, copy.text if copy and is_draft else "")
        shown = trim(answer.text, place) if answer else None
        # What was cut short is better than nothing for somebody who waits.
        if not answer or not shown or (ask.is_guess and not answer.is_complete):
            return None
        evidence: Evidence = {}
        likely = 1.0  # of what was good enough in an earlier session, or of a server that tells no probabilities
        if answer.tokens:
            evidence = of_model(answer.tokens, shown.text, copy, place, self._streak)
            likely = self._confidence.of(Source.MODEL, evidence)
        if likely >= self._least:
            self._writer.keep(ask, place, answer)
        written = tuple((token.text, exp(token.log_probability)) for token in answer.tokens)
        return Suggestion(
            shown.text, Source.MODEL, shown.replaces, confidence=likely, evidence=evidence, written=written
        )
