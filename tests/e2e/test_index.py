"""The workspace index as a window has it: a process of its own, shared, that survives what happens to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from planted import KEY_LINES, PLANTED, PRIVATE_KEY

from fimble import paths
from fimble.errors import FimbleError, NoProject, WorkspaceError
from fimble.index import endpoint
from fimble.index.client import IndexClient
from fimble.index.launch import IndexLauncher, repository_of, settings_for, stop
from fimble.index.wire import Found, Retrieve, Status
from fimble.settings import Config, IndexConfig, PrivacyConfig

NewClient = Callable[..., IndexClient]

PATIENCE_S = 30.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of a few files."""
    folder = tmp_path / "project"
    write(folder, {f"pkg/part{n}.py": module(n) for n in range(30)})
    (folder / ".git").mkdir()
    return folder


@pytest.fixture
async def new_client(home: Path, root: Path) -> AsyncIterator[NewClient]:
    """Makes clients, each like one window's, on the repository."""
    clients: list[IndexClient] = []

    def make(folder: Path = root, config: Config | None = None) -> IndexClient:
        clients.append(IndexClient(IndexLauncher(settings_for(folder, config or Config()))))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def module(number: int) -> str:
    return f"def compute_part{number}(basketOfGoods):\n    return basketOfGoods.sum{number}()\n"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def until_ready(client: IndexClient, is_right: Callable[[Status], bool] = lambda _status: True) -> Status:
    """Wait until everything is read, and what is expected is so."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        status = await client.status()
        if status.progress.state == "ready" and is_right(status):
            return status
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.02)


async def find(client: IndexClient, words: str) -> list[Found]:
    question = Retrieve(path="new.py", language="python", text=words, offset=len(words))
    return (await client.retrieve(question, timeout_s=PATIENCE_S)).snippets


async def until_found(client: IndexClient, words: str, path: str | None) -> None:
    """Wait until *words* find something in *path* first; None: nothing at all."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = await find(client, words)
        if (found[0].path if found else None) == path:
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.02)


async def test_a_repository_is_read_and_found(new_client: NewClient, root: Path) -> None:
    """A window asks, and an index is started, reads the files and answers from them."""
    client = new_client()
    status = await until_ready(client)
    assert (status.root, status.progress.files_total, status.definitions) == (str(root), 30, 30)
    (found, *_) = await find(client, "compute_part7(")
    assert (found.path, found.start_line, found.text) == ("pkg/part7.py", 0, module(7))


async def test_two_windows_share_one_process(new_client: NewClient) -> None:
    """Windows that start at once end with one index; one of them leaving does not end it."""
    clients = [new_client(), new_client()]
    pids = {(await until_ready(client)).pid for client in clients}
    assert len(pids) == 1
    assert (await clients[0].status()).windows == 2
    await clients[0].close()
    await until_ready(clients[1], lambda status: status.windows == 1)
    assert {(await clients[1].status()).pid} == pids


async def test_windows_with_other_settings_have_another_index(new_client: NewClient) -> None:
    """What a window excludes is in no index that it asks."""
    all_files, few_files = new_client(), new_client(config=Config(index=IndexConfig(max_files=10)))
    one, other = await until_ready(all_files), await until_ready(few_files)
    assert one.pid != other.pid
    assert one.database != other.database
    assert (one.progress.files_total, other.progress.files_total) == (30, 10)
    assert other.progress.skipped["everything beyond 10 files (index.max_files)"] == 1


@pytest.mark.parametrize("which", ["server", "indexer"])
async def test_a_killed_process_comes_back(new_client: NewClient, which: str) -> None:
    """kill -9 of either process: the next question is answered, and nothing is read anew."""
    client = new_client()
    status = await until_ready(client)
    server = psutil.Process(status.pid)
    (indexer,) = server.children()
    (server if which == "server" else indexer).kill()
    psutil.wait_procs([indexer], timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            again = await client.status()
            if psutil.Process(again.pid).children() and again.progress.state == "ready":
                break
        except (FimbleError, psutil.NoSuchProcess):
            assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    assert (again.pid == status.pid) is (which == "indexer")
    assert again.definitions == 30
    assert (await find(client, "compute_part7("))[0].path == "pkg/part7.py"


async def test_a_question_under_way_fails_fast(new_client: NewClient) -> None:
    """A window that waits for an answer when the process is killed is told at once, by an error of ours."""
    client = new_client()
    pid = (await until_ready(client)).pid
    os.kill(pid, signal.SIGSTOP)
    asking = asyncio.create_task(find(client, "compute_part7("))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkspaceError, match="stopped while it was answering"):
        await asyncio.wait_for(asking, PATIENCE_S)


async def test_an_index_that_does_not_answer_costs_only_time(new_client: NewClient) -> None:
    """The question ends when its time is over, and the next one is answered again."""
    client = new_client()
    pid = (await until_ready(client)).pid
    os.kill(pid, signal.SIGSTOP)
    question = Retrieve(path="new.py", language="python", text="compute_part7", offset=5)
    with pytest.raises(WorkspaceError, match="in time"):
        await client.retrieve(question, timeout_s=0.1)
    os.kill(pid, signal.SIGCONT)
    assert (await find(client, "compute_part7("))[0].path == "pkg/part7.py"


async def test_what_an_editor_saves_is_found(new_client: NewClient, root: Path) -> None:
    """Files that are changed, created, renamed and deleted, told one by one."""
    client = new_client()
    await until_ready(client)
    write(root, {"pkg/part7.py": "def zebra_crossing():\n    pass\n", "new/deep/a.py": "def giraffe():\n    pass\n"})
    client.changed([root / "pkg/part7.py", root / "new/deep/a.py"])
    await until_found(client, "zebra_crossing", "pkg/part7.py")
    await until_found(client, "giraffe", "new/deep/a.py")
    (root / "pkg/part7.py").rename(root / "pkg/crossing.py")
    client.changed([root / "pkg/part7.py", root / "pkg/crossing.py"])
    await until_found(client, "zebra_crossing", "pkg/crossing.py")
    (root / "new/deep/a.py").unlink()
    client.changed([root / "new/deep/a.py"])
    await until_found(client, "giraffe", None)


async def test_a_new_ignore_file_is_heeded(new_client: NewClient, root: Path) -> None:
    """What is ignored from now on is forgotten, and found again when it is not ignored any more."""
    client = new_client()
    await until_ready(client)
    (root / ".fimbleignore").write_text("part7.py\n")
    client.changed([root / ".fimbleignore"])
    await until_ready(client, lambda status: status.definitions == 29)
    (root / ".fimbleignore").unlink()
    client.changed([root / ".fimbleignore"])
    await until_ready(client, lambda status: status.definitions == 30)


async def test_another_branch_is_checked_out(new_client: NewClient, root: Path) -> None:
    """Most files change at once, some come and some go; told by their folder alone."""
    client = new_client()
    await until_ready(client)
    for n in range(0, 30, 2):
        (root / f"pkg/part{n}.py").unlink()
    write(root, {f"pkg/part{n}.py": f"def other_branch{n}():\n    pass\n" for n in range(1, 60, 2)})
    client.changed([root / "pkg"])
    await until_ready(client, lambda status: status.progress.files_total == 30)
    await until_found(client, "other_branch31", "pkg/part31.py")
    assert await find(client, "compute_part7(basketOfGoods)") == []


async def test_a_folder_is_renamed_while_it_is_read(new_client: NewClient, root: Path) -> None:
    """Files that vanish on the way are found under their new names, and the index gets ready."""
    # So much that reading is far from done when the first batch is told of.
    write(root, {f"many/m{n}.py": module(n) * 20 for n in range(4000)})
    client = new_client()
    deadline = time.monotonic() + PATIENCE_S
    while (status := await client.status()).progress.state != "indexing" or not status.definitions:
        assert status.progress.state != "ready"
        assert time.monotonic() < deadline
    (root / "many").rename(root / "moved")
    # As an editor tells it, or not: the walk finds that files have vanished by itself.
    await until_ready(client, lambda status: status.progress.files_total == 4030)
    (found, *_) = await find(client, "compute_part577(")
    assert found.path == "moved/m577.py"


async def test_without_unix_sockets_it_says_so_at_once(new_client: NewClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows no process is started that nobody could ask."""
    monkeypatch.delattr(asyncio, "open_unix_connection")
    client = new_client()
    with pytest.raises(WorkspaceError, match="Unix sockets"):
        await client.status()
    assert (client.launcher.is_starting, client.launcher.exit_status()) == (False, None)


async def test_a_restart_reads_nothing_that_has_not_changed(new_client: NewClient, root: Path) -> None:
    """A new process knows what the last one knew; only what was changed meanwhile is read."""
    client = new_client()
    await until_ready(client)
    assert await asyncio.to_thread(stop, client.launcher.socket)
    write(root, {"pkg/part7.py": "def zebra_crossing():\n    pass\n"})
    kept = root / "pkg/part8.py"
    info = kept.stat()
    kept.write_text(kept.read_text().replace("compute", "xxxxxxx"))  # as long as before, and not to be read
    os.utime(kept, ns=(info.st_atime_ns, info.st_mtime_ns))
    await until_found(client, "zebra_crossing", "pkg/part7.py")
    status = await until_ready(client)
    assert status.definitions == 30
    assert await find(client, "xxxxxxx_part8") != []  # by its part: the old words are still there
    assert not [found for found in await find(client, "xxxxxxx") if found.path == "pkg/part8.py"]


async def test_no_secret_is_kept_or_told(new_client: NewClient, root: Path) -> None:
    """One planted secret for each detector, and a private key: in no byte of the index, no answer and no log."""
    lines = "\n".join(f"zebra_{n} = 1\n{planted.line}" for n, planted in enumerate(PLANTED))
    write(root, {"pkg/zebras.py": lines + "\n", "conf/zebras.txt": f"zebra key\n{PRIVATE_KEY}\nzebra end\n{lines}"})
    write(root, {".env": "zebra_env = correct-horse-battery\n"})
    client = new_client()
    status = await until_ready(client)
    told = "".join(
        [found.text for n in range(len(PLANTED)) for found in await find(client, f"zebra_{n} zebra key end")]
    )
    assert told.count("<secret>") > len(PLANTED)
    folders = (Path(status.database).parent, paths.log_dir())
    kept = b"".join(file.read_bytes() for folder in folders for file in folder.iterdir())
    assert b"zebra" in kept
    haystack = (kept + told.encode()).lower()
    hidden = [planted.secret for planted in PLANTED] + list(KEY_LINES) + ["battery"]
    # No half of one either: identifiers are kept in parts.
    halves = {
        half.lower() for secret in hidden for half in (secret, secret[: len(secret) // 2], secret[len(secret) // 2 :])
    }
    common = {"begin rsa p", "rivate key", "correct", " horse", "8.18.", "28.38"}
    assert not [half for half in halves - common if half.encode() in haystack]


async def test_a_damaged_index_is_built_anew(new_client: NewClient) -> None:
    """A file that is garbage when the process starts costs nothing but the time to read everything again."""
    client = new_client()
    status = await until_ready(client)
    assert await asyncio.to_thread(stop, client.launcher.socket)
    write(Path(status.database).parent, {Path(status.database).name: "this is no database" * 10_000})
    assert (await until_ready(client)).definitions == 30


async def test_a_rebuild_reads_everything(new_client: NewClient) -> None:
    """`fimble index rebuild` begins with an empty database."""
    client = new_client()
    with closing(sqlite3.connect((await until_ready(client)).database)) as database, database:
        database.execute("INSERT INTO meta VALUES ('mark', 'of the old one')")
    await client.rebuild()
    status = await until_ready(client, lambda status: status.definitions == 30)
    with closing(sqlite3.connect(status.database)) as database:
        assert database.execute("SELECT * FROM meta WHERE key = 'mark'").fetchall() == []


async def test_everything_is_private(new_client: NewClient) -> None:
    """Socket, database and log are this user's alone."""
    client = new_client()
    status = await until_ready(client)
    files = [client.launcher.socket, Path(status.database), paths.log_dir() / f"index-{client.launcher.key}.log"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {stat.S_IMODE(file.parent.stat().st_mode) for file in files} == {0o700}


async def test_an_index_that_nobody_can_reach_ends(new_client: NewClient) -> None:
    """Its socket or its repository is gone: so is the process, with the one that reads files."""
    client = new_client()
    pid = (await until_ready(client)).pid
    processes = [psutil.Process(pid), *psutil.Process(pid).children()]
    client.launcher.socket.unlink()
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=PATIENCE_S)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


async def test_a_repository_that_vanishes(new_client: NewClient, root: Path) -> None:
    """The folder is deleted while a window is open: the index ends, and the window hears an error of ours."""
    client = new_client()
    pid = (await until_ready(client)).pid
    shutil.rmtree(root)
    await asyncio.to_thread(psutil.wait_procs, [psutil.Process(pid)], timeout=PATIENCE_S)
    assert not client.launcher.socket.exists()


async def test_the_index_of_older_settings_is_deleted(new_client: NewClient) -> None:
    """What is excluded now is not left in a file of before."""
    client = new_client()
    old = Path((await until_ready(client)).database)
    assert await asyncio.to_thread(stop, client.launcher.socket)
    other = new_client(config=Config(index=IndexConfig(max_files=10)))
    new = Path((await until_ready(other)).database)
    assert old != new
    assert list(new.parent.glob("*.db")) == [new]


async def test_nonsense_is_answered(new_client: NewClient) -> None:
    """What is no request gets a Failure, and the connection stays."""
    client = new_client()
    await until_ready(client)
    reader, writer = await asyncio.open_unix_connection(str(client.launcher.socket))
    writer.write(b'{"nonsense\n\xff\n{"type":"Status","id":5}\n')
    answers = [await asyncio.wait_for(reader.readline(), PATIENCE_S) for _ in range(3)]
    assert [b'"Failure"' in answer for answer in answers] == [True, True, False]
    writer.close()


async def test_a_folder_that_cannot_be_written_to(new_client: NewClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place for its database the index says so, with the fix, and the window goes on."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    client = new_client()
    with pytest.raises(WorkspaceError, match="cannot be kept") as raised:
        await client.status()
    assert "index.enabled" in raised.value.fix


def test_home_folders_and_disks_are_not_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants all of a home folder or a disk to be read."""
    monkeypatch.setenv("HOME", str(home / "me"))
    (home / "me/project").mkdir(parents=True)
    for folder in (Path("/"), home, home / "me"):
        with pytest.raises(NoProject):
            settings_for(folder, Config())
    assert settings_for(home / "me/project", Config()).root == str(home / "me/project")
    with pytest.raises(WorkspaceError, match="switched off"):
        settings_for(home / "me/project", Config(index=IndexConfig(enabled=False)))


def test_a_folder_in_a_repository_belongs_to_it(root: Path) -> None:
    """Windows on different folders of one repository share its index."""
    assert repository_of(root / "pkg") == repository_of(root) == root
    assert settings_for(root / "pkg", Config()) == settings_for(root, Config())


async def test_a_folder_keeps_out_what_it_kept_out_alone(new_client: NewClient, root: Path) -> None:
    """Patterns that a window on a part of a repository has for its own folder count there."""
    patterns = ("part1.py", "/part2.py", "deep/part3.py", "!/part1.py")
    write(root, {"pkg/deep/part3.py": module(3), "part2.py": module(2)})
    client = new_client(root / "pkg", Config(privacy=PrivacyConfig(exclude=patterns)))
    await until_ready(client)
    found = {one.path for n in (1, 2, 3) for one in await find(client, f"compute_part{n}(")}
    assert "pkg/part1.py" in found
    assert not found & {"pkg/part2.py", "pkg/deep/part3.py"}


def test_the_socket_of_an_index_has_room(home: Path) -> None:
    """The name is no longer than an engine's, for which `paths` keeps room."""
    assert len(endpoint.socket_path(Path("/"), "0123456789").name) <= len("0123456789abcdef.sock")
