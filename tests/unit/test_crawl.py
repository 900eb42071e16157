"""What belongs to a repository: what git would track, less what nobody wants to be read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fimble.index.crawl import Crawl
from fimble.index.wire import IndexSettings
from fimble.settings import PrivacyConfig


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def crawl(root: Path, **changes: Any) -> Crawl:
    values: dict[str, Any] = {"max_files": 1000, "max_file_kb": 100, "idle_minutes": 1.0, **changes}
    return Crawl(IndexSettings(root=str(root), **values))


def names(root: Path, under: str = "", **changes: Any) -> list[str]:
    """What is found, without the ignore files themselves."""
    found = [one.path for one in crawl(root, **changes).files(under)]
    return [path for path in found if not path.endswith("ignore")]


IGNORING = {
    ".gitignore": "*.log\n/build\n!keep.log\ndocs/*.txt\n# a comment\n\\#odd\n**/deep/*.x\ntrailing \n",
    "sub/.gitignore": "!special.log\n*.py\n!/wanted.py\nvendor/\n",
    "sub/inner/.gitignore": "!again.py\n",
    **dict.fromkeys(
        (
            *("a.py", "a.log", "keep.log", "build/x.py", "lib/build/y.py", "docs/a.txt", "docs/b/a.txt", "#odd"),
            *("sub/special.log", "sub/other.log", "sub/a.py", "sub/wanted.py", "sub/inner/again.py", "sub/inner/b.py"),
            *(
                "sub/inner/wanted.py",
                "sub/vendor/c.c",
                "sub/inner/vendor/c.c",
                "a/deep/b/f.x",
                "a/deep/f.x",
                "trailing",
            ),
        ),
        "x\n",
    ),
}


def test_ignore_files_mean_what_they_mean_to_git(tmp_path: Path) -> None:
    """Nested ignore files, negations and anchors: the walk finds the very files that git would track."""
    write(tmp_path, IGNORING)
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / ".git/info/exclude").write_text("lib/\n")
    listing = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    tracked = {path for path in listing.stdout.split("\0") if path and not path.endswith("ignore")}
    assert len(tracked) > 5
    assert set(names(tmp_path)) == tracked


def test_a_work_tree_shares_the_repositorys_excludes(tmp_path: Path) -> None:
    """In a `git worktree`, whose .git is a file, info/exclude of the repository counts."""
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path / "main")]
    write(tmp_path, {"main/a.py": "", "main/b.py": ""})
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["worktree", "add", "-q", "../tree"]):
        subprocess.run([*run, *command], check=True, capture_output=True)
    (tmp_path / "main/.git/info/exclude").write_text("c.py\n")
    write(tmp_path, {"tree/c.py": ""})
    assert names(tmp_path / "tree") == ["a.py", "b.py"]


def test_fimbleignore_has_the_last_word(tmp_path: Path) -> None:
    """`.fimbleignore` leaves out more, and takes in what git ignores."""
    write(tmp_path, {"a.py": "", "b.py": "", "c.log": "", ".gitignore": "*.log", ".fimbleignore": "b.py\n!c.log\n"})
    assert names(tmp_path) == ["a.py", "c.log"]


def test_broken_patterns_are_passed_over(tmp_path: Path) -> None:
    """A line that is no pattern, bytes that are no text, and a byte order mark cost nothing else."""
    write(tmp_path, {"a.py": "", "b.py": ""})
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfa.py\r\n!\n\xff\xfe\n/\n[\n")
    assert names(tmp_path) == ["b.py"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link to a folder around it is no loop, and one out of the repository lets nothing in."""
    outside = tmp_path / "outside"
    write(tmp_path, {"root/a/b.py": "", "outside/secret.py": ""})
    root = tmp_path / "root"
    (root / "a/loop").symlink_to(root, target_is_directory=True)
    (root / "out").symlink_to(outside, target_is_directory=True)
    (root / "link.py").symlink_to(outside / "secret.py")
    walk = crawl(root)
    assert [one.path for one in walk.files()] == ["a/b.py"]
    assert walk.skipped["link"] == 3
    assert names(root, "out/secret.py") == []
    assert names(root, "link.py") == []


def test_what_is_private_is_never_found(tmp_path: Path) -> None:
    """Files of privacy.exclude, and those of languages that are off, have a reason and no other trace."""
    write(tmp_path, {".env": "", "conf/.env.local": "", "id_rsa": "", "certs/a.pem": "", "a.py": "", "b.go": ""})
    walk = crawl(tmp_path, exclude=PrivacyConfig().exclude, languages_off=("go",))
    assert [one.path for one in walk.files()] == ["a.py"]
    assert walk.skipped == {"excluded (privacy.exclude)": 4, "language that is off (privacy.languages_off)": 1}


def test_folders_that_nobody_wrote(tmp_path: Path) -> None:
    """Dependencies, caches and environments are left out though no ignore file names them."""
    write(
        tmp_path,
        {
            **{
                "a.py": "",
                "node_modules/x/i.js": "",
                "venv/pyvenv.cfg": "",
                "venv/lib/a.py": "",
                "pkg/__pycache__/a.c": "",
            },
            **{"target/CACHEDIR.TAG": "", "target/a.rs": "", ".git/config": "", "sub/.git/HEAD": "", "sub/b.py": ""},
        },
    )
    assert names(tmp_path) == ["a.py", "sub/b.py"]


def test_large_files_and_what_is_no_file(tmp_path: Path) -> None:
    """Size is looked at before anything is opened; a pipe is never opened at all."""
    write(tmp_path, {"a.py": "", "large.py": "x" * 200_000})
    os.mkfifo(tmp_path / "pipe.py")
    walk = crawl(tmp_path)
    assert [one.path for one in walk.files()] == ["a.py"]
    assert walk.skipped == {"larger than 100 kB (index.max_file_kb)": 1, "no regular file": 1}


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    """A file whose name is not UTF-8 has a reason, too."""
    write(tmp_path, {"a.py": ""})
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text("")
    walk = crawl(tmp_path)
    assert [one.path for one in walk.files()] == ["a.py"]
    assert walk.skipped == {"name that is not UTF-8": 1}


def test_too_many_files(tmp_path: Path) -> None:
    """Beyond the limit nothing is read, and that is told."""
    write(tmp_path, {f"{n:02}.py": "" for n in range(30)})
    walk = crawl(tmp_path, max_files=10)
    assert len(list(walk.files())) == 10
    assert walk.skipped == {"everything beyond 10 files (index.max_files)": 1}


def test_a_part_is_walked_by_the_same_rules(tmp_path: Path) -> None:
    """A folder or a file alone is found exactly if the walk through everything finds it."""
    write(tmp_path, IGNORING)
    whole = names(tmp_path)
    assert [path for path in whole if names(tmp_path, path) != [path]] == []
    everything = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert [path for path in everything - set(whole) if names(tmp_path, path)] == []
    assert names(tmp_path, "sub") == [path for path in whole if path.startswith("sub/")]
    assert names(tmp_path, "not/there") == []
    assert names(tmp_path, "build") == []


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of somebody else's is left out with a reason; the rest is found."""
    write(tmp_path, {"a.py": "", "closed/b.py": "", "z/c.py": ""})
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # the tests may run as root, to whom nothing is closed
        if os.fspath(path).rstrip("/").endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    walk = crawl(tmp_path)
    assert [one.path for one in walk.files()] == ["a.py", "z/c.py"]
    assert walk.skipped == {"folder that cannot be read": 1}
