"""The prompt, as tokens.  models/PROMPT.md is its specification; training obeys the same page.

    [BOS] <repo>NAME\\n  (<file>path\\n text)...  <file>path\\n  <pre> prefix <suf> suffix <mid> typed
    [BOS] <repo>NAME\\n  (<file>path\\n text)...  <file>path\\n  <suf> suffix <pre> prefix <mid> typed

The second is for models that were trained with the suffix first.  Models that know no files have theirs at the
beginning of the prefix: that is where text before the hole was when they were trained.

Everything before ``typed`` stays as it is while the user types, so a keystroke appends a token or two.  Only
ids make a control token: text that spells ``<|fim_middle|>`` is just text.
"""

from __future__ import annotations

from dataclasses import dataclass

from fimble.engine.llama import FimTokens, Layout, Vocab
from fimble.engine.wire import CompletionRequest, InfillRequest, PromptPart

#: BOS, prefix, suffix and middle tokens.
_MARKERS = 4


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, and what had to be left out to fit."""

    tokens: tuple[int, ...]
    n_predict: int
    truncated: bool = False
    typed: int = 0
    """How many tokens at the end were typed since the anchor; those before them do not change at a keystroke."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a prompt, cut to size, and how long each was."""

    n_predict: int
    repo: tuple[int, ...]
    snippets: tuple[tuple[int, ...], ...]
    """Of the newest ones, as many as fit; the oldest first."""
    head: tuple[int, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    typed: tuple[int, ...]
    whole: tuple[int, int, int]
    """How many tokens prefix, suffix and what was typed would have taken."""
    left_out: bool


def render_infill(request: InfillRequest, vocab: Vocab, fim: FimTokens, n_ctx: int) -> Prompt:
    """Lay out *request* in at most *n_ctx* tokens, the answer included.

    What does not fit is left out where it is worth least and disturbs the cache least: the oldest snippets, the
    far end of the suffix, the far end of the prefix.  Cuts are made in steps, so that a growing text moves them
    rarely rather than at every key.
    """
    made = _lay_out(request, vocab, fim, n_ctx)
    bos = () if vocab.bos is None else (vocab.bos,)
    tokens = (*bos, *_around(fim, vocab.layout, made), *made.typed)
    return Prompt(tokens, made.n_predict, made.left_out, len(made.typed))


def account(request: InfillRequest, vocab: Vocab, fim: FimTokens, n_ctx: int) -> list[PromptPart]:
    """What `render_infill` makes of *request*, part by part in the order of the prompt's layout: for people."""
    made = _lay_out(request, vocab, fim, n_ctx)
    parts = [PromptPart(part="repository", name=request.repo_name, tokens=len(made.repo))] if made.repo else []
    dropped = len(request.input_extra) - len(made.snippets)
    for number, extra in enumerate(request.input_extra):
        is_kept = number >= dropped
        tokens = len(made.snippets[number - dropped]) if is_kept else 0
        whole = tokens if is_kept else len(_snippet(request, number, vocab, fim))
        parts.append(PromptPart(part="snippet", name=extra.filename, tokens=tokens, left_out=whole - tokens))
    if made.head:
        parts.append(PromptPart(part="file", name=request.filename, tokens=len(made.head)))
    own = (("prefix", made.prefix), ("suffix", made.suffix), ("typed", made.typed))
    for (part, kept), whole in zip(own, made.whole, strict=True):
        parts.append(PromptPart(part=part, tokens=len(kept), left_out=whole - len(kept)))
    return parts


def _lay_out(request: InfillRequest, vocab: Vocab, fim: FimTokens, n_ctx: int) -> _Parts:
    quarter = n_ctx // 4
    n_predict = _n_predict(request.n_predict, n_ctx)
    head, head_dropped = _file_header(request, vocab, fim, quarter // 2)
    typed = vocab.tokenize(request.prompt) if request.prompt else ()
    most = n_ctx - _MARKERS - len(head)
    typed_kept = typed[max(len(typed) - (most - n_predict), 0) :]
    # Room for the middle, in whole quarters: the rest of the prompt is cut differently only when that changes.
    # One at least, so that warming (no answer) evaluates what the answer will need.
    middle_room = min(quarter * max(-(-(len(typed_kept) + n_predict) // quarter), 1), most)
    room = most - middle_room

    has_before = head or request.input_extra if fim.file is None else head and vocab.layout.path_in_prefix
    prefix_all = (vocab.tokenize if has_before else vocab.tokenize_first)(request.input_prefix)
    suffix_all = vocab.tokenize(request.input_suffix)
    # Somebody chose the snippets for this place: the far ends of a long file are worth less than they are.
    repo, snippets = _snippets(request, vocab, fim, room * 3 // 10)
    own = room - len(repo) - sum(map(len, snippets))
    suffix = suffix_all[: max(own // 4, own - len(prefix_all))]
    prefix = _keep_end(prefix_all, own - len(suffix))
    repo, snippets = _snippets(request, vocab, fim, room - len(suffix) - len(prefix))
    cut = ((prefix, prefix_all), (suffix, suffix_all), (typed_kept, typed), (snippets, request.input_extra))
    return _Parts(
        n_predict=n_predict,
        repo=repo,
        snippets=snippets,
        head=head,
        prefix=prefix,
        suffix=suffix,
        typed=typed_kept,
        whole=(len(prefix_all), len(suffix_all), len(typed)),
        left_out=head_dropped or any(len(kept) != len(whole) for kept, whole in cut),
    )


def _around(fim: FimTokens, layout: Layout, made: _Parts) -> tuple[int, ...]:
    """Everything before what is typed, in the order that the model was trained on."""
    files = (*made.repo, *(token for snippet in made.snippets for token in snippet))
    before, inside = (*files, *made.head), made.prefix
    if fim.file is None:
        before, inside = (), (*files, *made.head, *made.prefix)
    elif layout.path_in_prefix:
        before, inside = (*files, *made.head[:1]), (*made.head[1:], *made.prefix)
    halves = ((fim.prefix, *inside), (fim.suffix, *made.suffix))
    first, second = reversed(halves) if layout.suffix_first else halves
    return (*before, *first, *second, *(() if fim.middle is None else (fim.middle,)))


def render_completion(request: CompletionRequest, vocab: Vocab, n_ctx: int) -> Prompt:
    """A plain prompt: text, or ids as they are.  The end is kept when it does not fit.

    Raises ValueError for an id that the vocabulary does not have.
    """
    n_predict = _n_predict(request.n_predict, n_ctx)
    if isinstance(request.prompt, str):
        tokens = (*(() if vocab.bos is None else (vocab.bos,)), *vocab.tokenize_first(request.prompt))
    else:
        tokens = tuple(request.prompt)
        if any(not 0 <= token < vocab.size for token in tokens):
            raise ValueError(f"a token id is outside the vocabulary of {vocab.size}")
    kept = _keep_end(tokens, n_ctx - n_predict)
    return Prompt(kept, n_predict, len(kept) != len(tokens))


def _n_predict(wanted: int, n_ctx: int) -> int:
    """At most half of the context; as in llama-server's dialect, a negative number asks for as much as there is."""
    return min(wanted, n_ctx // 2) if wanted >= 0 else n_ctx // 2


def _keep_end(tokens: tuple[int, ...], room: int) -> tuple[int, ...]:
    """The end of *tokens* that fits into *room*, cut in steps of an eighth of it.

    Larger steps move the cut more rarely, and leave out more for snippets that take some room (server/ARCHITECTURE.md).
    """
    if len(tokens) <= room:
        return tokens
    step = max(room // 8, 1)
    excess = len(tokens) - room
    return tokens[step * -(-excess // step) :]


def _file_header(request: InfillRequest, vocab: Vocab, fim: FimTokens, room: int) -> tuple[tuple[int, ...], bool]:
    """What the current file is called, for models that know files; a name that is too long is left out.

    Where a name is told from code by a mark alone, it is there to end the file before it.
    """
    if fim.file is None and not (vocab.layout.file_mark and request.input_extra):
        return (), False
    # Where files are told apart, a nameless one is, too.
    unnamed = (fim.file,) if fim.file is not None and vocab.layout.path_in_prefix and request.input_extra else ()
    if not request.filename:
        return unnamed, False
    header = _named(request.filename + "\n", vocab, fim)
    return (header, False) if len(header) <= room else (unnamed, True)


def _snippets(
    request: InfillRequest, vocab: Vocab, fim: FimTokens, room: int
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The repository's name and as many of the newest snippets as fit, the oldest first."""
    repo: tuple[int, ...] = ()
    if fim.repo is not None and fim.file is not None and request.repo_name:
        repo = (fim.repo, *vocab.tokenize(request.repo_name + vocab.layout.repo_end))
    room -= len(repo)
    if room < 0:
        return (), ()
    kept: list[tuple[int, ...]] = []
    for number in reversed(range(len(request.input_extra))):
        piece = _snippet(request, number, vocab, fim)
        if len(piece) > room:
            break
        room -= len(piece)
        kept.append(piece)
    return repo, tuple(reversed(kept))


def _snippet(request: InfillRequest, number: int, vocab: Vocab, fim: FimTokens) -> tuple[int, ...]:
    extra = request.input_extra[number]
    return _named(f"{extra.filename}\n{extra.text}\n", vocab, fim, is_first=number == 0)


def _named(text: str, vocab: Vocab, fim: FimTokens, is_first: bool = False) -> tuple[int, ...]:
    """*text*, which begins with the name of its file, as the model knows files: by a token, by a mark, or not."""
    if fim.file is not None:
        return (fim.file, *vocab.tokenize(text))
    return (vocab.tokenize_first if is_first else vocab.tokenize)(vocab.layout.file_mark + text)
