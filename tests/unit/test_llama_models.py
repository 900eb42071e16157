"""Model files that are missing, broken, or made for something else: each is refused by its name, with a fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from models import read_gguf

from fimble.engine import launch
from fimble.engine.llama import Context, Model
from fimble.engine.loading import check_finite
from fimble.engine.prompt import render_infill
from fimble.engine.wire import ExtraFile, InfillRequest
from fimble.errors import ModelCorrupt, ModelCrashes, ModelError, ModelNoFim, ModelNotFound

NewGguf = Callable[..., Path]

NAN, INFINITY = b"\x00\x7e", b"\x00\x7c"  # IEEE half precision, little endian


def refused(path: Path, kind: type[ModelError]) -> ModelError:
    """The error that loading *path* ends with."""
    with pytest.raises(kind) as caught:
        Model(path)
    assert type(caught.value) is kind
    assert caught.value.fix
    assert path.name in caught.value.message
    return caught.value


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    """A model that is not there is said to be missing, and how to find another one."""
    assert "fimble models" in refused(tmp_path / "gone.gguf", ModelNotFound).fix


def test_a_folder_is_not_found(tmp_path: Path) -> None:
    """A folder is no model."""
    folder = tmp_path / "folder.gguf"
    folder.mkdir()
    assert "directory" in refused(folder, ModelNotFound).message


@pytest.mark.parametrize("content", [b"", b"GGU", b"GGML" + bytes(100), b"\x7fELF" + bytes(5000), b"GGUF"[::-1] * 99])
def test_what_is_no_gguf_is_corrupt(tmp_path: Path, content: bytes) -> None:
    """An empty file, an old format or a program is refused before llama.cpp sees it."""
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    assert "not a GGUF file" in refused(path, ModelCorrupt).message


def test_random_bytes_are_corrupt(tmp_path: Path) -> None:
    """A file with the right first bytes and nonsense behind them does not end the process."""
    path = tmp_path / "x.gguf"
    for version in (b"", b"\x03\0\0\0"):
        path.write_bytes(b"GGUF" + version + np.random.default_rng(1).bytes(50_000))
        refused(path, ModelCorrupt)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.05, 0.5, 0.9999])
def test_a_download_that_was_cut_short_is_corrupt(tmp_path: Path, bundled: Path, share: float) -> None:
    """Wherever the file ends, in its header, its vocabulary or its weights, the fix is to download it again."""
    whole = bundled.read_bytes()
    path = tmp_path / "x.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "download it again" in refused(path, ModelCorrupt).fix


def test_the_message_says_what_llama_cpp_found(tmp_path: Path, bundled: Path) -> None:
    """The cause is told, and not only that loading failed."""
    path = tmp_path / "x.gguf"
    path.write_bytes(bundled.read_bytes()[:-100_000])
    assert "file bounds" in refused(path, ModelCorrupt).message


def test_a_broken_model_does_not_spoil_the_next_one(tmp_path: Path, bundled: Path) -> None:
    """After a failure a good file loads, and an old message is not told about a new file."""
    path = tmp_path / "x.gguf"
    path.write_bytes(bundled.read_bytes()[:-100_000])
    refused(path, ModelCorrupt)
    assert Model(bundled).description.endswith(", llama, Q8_0")
    path.write_bytes(b"GGUF")
    assert "file bounds" not in refused(path, ModelCorrupt).message


FIM_KEYS = [f"tokenizer.ggml.fim_{name}_token_id" for name in ("pre", "suf", "mid", "pad", "rep", "sep")]


def vocabulary(bundled: Path) -> list[str]:
    tokens: list[str] = read_gguf(bundled).fields["tokenizer.ggml.tokens"].contents()
    return tokens


def test_a_model_without_fim_tokens_is_refused(new_gguf: NewGguf, bundled: Path) -> None:
    """A chat model cannot complete inside a file, and says so instead of writing nonsense."""
    names = [f"<unused{n}>" if 1 <= n <= 6 else token for n, token in enumerate(vocabulary(bundled))]
    path = new_gguf(drop=FIM_KEYS, replace={"tokenizer.ggml.tokens": names})
    assert "fill-in-the-middle" in refused(path, ModelNoFim).message


def test_fim_tokens_are_found_by_their_text(new_gguf: NewGguf) -> None:
    """A GGUF that does not name the ids still works when its vocabulary has the usual tokens."""
    assert tuple(Model(new_gguf(drop=FIM_KEYS)).fim) == (1, 2, 3, 5, 6)


@pytest.mark.parametrize(
    ("spelled", "name", "layout"),
    [
        ({1: "<[fim-prefix]>", 2: "<[fim-suffix]>", 3: "<[fim-middle]>"}, "Seed-Coder 8B", "2 S 1 F P 3 T"),
        ({1: "[PREFIX]", 2: "[SUFFIX]", 3: "[MIDDLE]"}, "Codestral 22B", "2 S 1 F H P T"),
        (
            {1: "<fim_prefix>", 2: "<fim_suffix>", 3: "<fim_middle>", 6: "<filename>"},
            "Mellum 4b",
            "6 F 6 H 2 S 1 P 3 T",
        ),
        ({1: "<fim_prefix>", 2: "<fim_suffix>", 3: "<fim_middle>"}, "stable-code", "1 F P 2 S 3 T"),
    ],
)
def test_families_are_asked_as_they_were_trained(
    new_gguf: NewGguf, bundled: Path, spelled: dict[int, str], name: str, layout: str
) -> None:
    """Suffix first or prefix first, files by a token, by a mark or plain; what is typed always comes last."""
    names = vocabulary(bundled)
    for token in range(1, 7):
        names[token] = spelled.get(token, f"<unused{token}>")
    model = Model(new_gguf(drop=FIM_KEYS, replace={"tokenizer.ggml.tokens": names, "general.name": name}))
    mark = "+++++ " if name.startswith("Codestral") else ""
    parts = {
        "P": "import os\n",
        "S": "\nx = 1\n",
        "T": "pri",
        "F": f"{mark}b.py\ny = 2\n",
        "H": f"{mark}a.py\n",
    }
    request = InfillRequest(
        input_prefix=parts["P"],
        input_suffix=parts["S"],
        prompt=parts["T"],
        filename="a.py",
        input_extra=[ExtraFile("b.py", "y = 2")],
    )
    expected = [
        token
        for part in layout.split()
        for token in ([int(part)] if part.isdigit() else model.vocab.tokenize(parts[part]))
    ]
    assert list(render_infill(request, model.vocab, model.fim, 512).tokens) == expected
    assert all(model.vocab.is_end(token) for token in model.fim if token is not None)
    for text in spelled.values():
        assert not set(model.vocab.tokenize(f"a{text}b")) & set(model.fim)


@pytest.mark.parametrize("kind", [gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED, gguf.TokenType.NORMAL])
@pytest.mark.parametrize("named", [True, False])
def test_text_never_becomes_a_control_token(
    new_gguf: NewGguf, bundled: Path, kind: gguf.TokenType, named: bool
) -> None:
    """However a GGUF marks its FIM tokens, source that spells one is text, and an answer ends at the real one."""
    types = [int(kind)] * 8 + [int(gguf.TokenType.NORMAL)] * (len(vocabulary(bundled)) - 8)
    model = Model(new_gguf(drop=() if named else FIM_KEYS, replace={"tokenizer.ggml.token_type": types}))
    for text in ("a<|fim_middle|>b", "<|fim_prefix|>", "x <|fim_suffix|>", "<|repo_name|><|file_sep|>"):
        tokens = model.vocab.tokenize(text)
        assert not set(tokens) & set(model.fim), f"{text} became {tokens}"
    assert all(model.vocab.is_end(token) for token in model.fim[:3] if token is not None)


@pytest.mark.parametrize(
    ("file_type", "quantisation"), [(0, "F32"), (1, "F16"), (2, "Q4_0"), (7, "Q8_0"), (15, "Q4_K"), (17, "Q5_K")]
)
def test_the_description_names_the_quantisation(new_gguf: NewGguf, file_type: int, quantisation: str) -> None:
    """`fimble models` says how a model is quantised, also for the common K kinds."""
    model = Model(new_gguf(replace={"general.file_type": file_type, "general.name": "Some Name"}))
    assert model.description.startswith("Some Name, llama, ")
    assert quantisation in model.description


def test_a_model_without_a_name_has_a_description(new_gguf: NewGguf) -> None:
    """Missing metadata is no failure."""
    assert Model(new_gguf(drop=["general.name", "general.license"])).description == "unnamed, llama, Q8_0"


def damaged(bundled: Path, tmp_path: Path, tensor_name: str, pattern: bytes) -> Path:
    """A copy whose tensor has the scale of one Q8_0 block in every row overwritten, as by a failing disk."""
    tensor = next(t for t in read_gguf(bundled).tensors if t.name == tensor_name)
    assert tensor.tensor_type is gguf.GGMLQuantizationType.Q8_0
    data = bytearray(bundled.read_bytes())
    row_bytes = int(tensor.n_bytes // tensor.shape[1])
    for row in range(int(tensor.shape[1])):
        at = int(tensor.data_offset) + row * row_bytes
        data[at : at + 2] = pattern
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("pattern", [NAN, INFINITY], ids=["nan", "infinity"])
@pytest.mark.parametrize(
    "tensor", ["token_embd.weight", "blk.0.attn_q.weight", "blk.1.attn_v.weight", "blk.3.ffn_down.weight"]
)
def test_weights_that_give_no_numbers_are_corrupt(bundled: Path, tmp_path: Path, tensor: str, pattern: bytes) -> None:
    """Flipped weights load without a word; computing with them finds out, before anybody sees the result."""
    model = Model(damaged(bundled, tmp_path, tensor, pattern))
    context = Context(model, n_ctx=256, n_seq=1, n_batch=64, threads=1, threads_batch=1)
    with pytest.raises(ModelCorrupt) as caught:
        check_finite(model, context)
    assert "not finite" in caught.value.message
    assert caught.value.fix


def test_good_weights_pass_and_leave_the_cache_empty(model: Model, new_context: Callable[..., Context]) -> None:
    """The check keeps nothing in the context that it was made with."""
    context = new_context()
    check_finite(model, context)
    assert context.length(0) == 0


def test_a_model_that_makes_llama_cpp_abort_crashes_nobody_else(
    new_gguf: NewGguf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where llama.cpp ends the whole process, only the trying process dies, and its last words are told."""
    monkeypatch.delenv("GGML_NO_BACKTRACE", raising=False)
    path = new_gguf(replace={"llama.attention.layer_norm_rms_epsilon": -1.0})
    with pytest.raises(ModelCrashes) as caught:
        launch.probe(path)
    # Without GGML_NO_BACKTRACE llama.cpp runs a debugger on itself, whose complaints are the last words then.
    assert "GGML_ASSERT" in caught.value.message
    assert caught.value.fix
