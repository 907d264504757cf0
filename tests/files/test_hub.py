"""Finding files: folders, the cache without a network, the Hub with few requests, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from enfold.errors import ArgumentError, FileMissing
from enfold.files import HubOptions, commit_of, list_files, repo, resolve

COMMIT, NEWER = "a" * 40, "b" * 40


# ---- local folders

def test_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("config.json", "sub/vocab.txt"):
        (tmp_path / name).write_text("{}")
    assert resolve(tmp_path, "config.json") == tmp_path / "config.json"
    assert resolve(str(tmp_path), "config.json", revision="v1") == tmp_path / "config.json"
    assert resolve(tmp_path, "vocab.txt", subfolder="sub") == tmp_path / "sub" / "vocab.txt"
    assert resolve(tmp_path / "config.json", "config.json") == tmp_path / "config.json"
    assert resolve(tmp_path, "merges.txt", required=False) is None
    assert list_files(tmp_path) == ["config.json", "sub/vocab.txt"]
    assert list_files(tmp_path, HubOptions(subfolder="sub")) == ["vocab.txt"]


def test_folder_under_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert resolve("~", "config.json") == tmp_path / "config.json"


def test_folder_lacks_file(tmp_path: Path) -> None:
    (tmp_path / "confg.json").write_text("{}")
    with pytest.raises(FileMissing) as caught:
        resolve(tmp_path, "config.json")
    assert str(caught.value) == (
        f"{tmp_path}: no file 'config.json' (nearest: 'confg.json'). It holds confg.json. Do: give "
        "the folder that has it (subfolder= for one below), or a Hub name for which no folder "
        "exists here")


def test_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("")
    with pytest.raises(FileMissing, match="is a file. Expected the folder of a model, with 'conf"):
        resolve(tmp_path / "model.bin", "config.json")


@pytest.mark.parametrize(("name", "message"), [
    ("./no-such", "no folder './no-such'"), ("/no/such", "no folder '/no/such'"),
    ("a/b/c", "no folder 'a/b/c'"), (Path("modl"), "no folder 'modl' (nearest: 'model')"),
    ("org/mo del", "'org/mo del' is neither a folder here nor a Hub name"),
    ("", "'' is neither"), ("org/a--b", "'org/a--b' is neither"), ("org/-a", "'org/-a' is neither"),
])
def test_bad_names(name: str, message: str, tmp_path: Path,
                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    with pytest.raises(FileMissing) as caught:
        resolve(name, "config.json")
    assert str(caught.value).startswith(message)


def test_name_that_leads_out() -> None:
    with pytest.raises(FileMissing, match=r"'../../x' leads out of the repository"):
        resolve("org/model", "../../x")


# ---- the cache, without a network

@pytest.mark.parametrize("options", [{}, {"local_files_only": True}, {"revision": COMMIT}])
def test_cached_with_sockets_blocked(cached: Path, no_sockets: list[object],
                                     options: dict[str, object]) -> None:
    found = resolve("org/model", "config.json", **options)
    assert found == cached / "snapshots" / COMMIT / "config.json"
    assert found.read_text() == "{}"
    assert commit_of(found) == COMMIT
    assert resolve("org/model", "merges.txt", required=False, **options) is None
    assert list_files("org/model", HubOptions(**options)) == ["config.json", "sub/vocab.txt"]
    assert resolve("org/model", "vocab.txt", subfolder="sub", **options)


@pytest.mark.parametrize("setting", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_makes_no_attempt(cached: Path, no_sockets: list[object], setting: str,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(setting, "1")
    assert resolve("org/model", "config.json")
    assert resolve("org/model", "merges.txt", required=False) is None
    assert no_sockets == []
    with pytest.raises(FileMissing) as caught:
        resolve("org/model", "merges.txt")
    assert str(caught.value) == (
        f"org/model: merges.txt is not in the cache, and {setting}=1 forbids to download it. "
        f"Looked in {cached / 'snapshots' / COMMIT}, which holds config.json, sub/vocab.txt. Do: "
        "load it once with a network, or give a local folder with the model's files, or point "
        "HF_HOME or cache_dir= at a cache that has it")


def test_cached_file_needs_no_client(cached: Path, python) -> None:
    code = ("import sys; from enfold.files import resolve, open_checkpoint\n"
            f"assert resolve('org/model', 'config.json', revision='{COMMIT}')\n"
            "assert not {'huggingface_hub', 'torch', 'numpy', 'httpx'} & set(sys.modules)")
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("variables", "expected"), [
    ({"HF_HOME": "{t}/x"}, "x/hub"), ({"HF_HOME": "", "XDG_CACHE_HOME": "{t}/x"},
                                      "x/huggingface/hub"),
    ({"HF_HUB_CACHE": "{t}/x"}, "x"), ({"HUGGINGFACE_HUB_CACHE": "{t}/x"}, "x"),
    ({"TRANSFORMERS_CACHE": "{t}/x"}, "x"),
    ({"HF_HUB_CACHE": "{t}/x", "TRANSFORMERS_CACHE": "{t}/y"}, "x"),
])
def test_cache_places(variables: dict[str, str], expected: str, tmp_path: Path,
                      monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(t=tmp_path))
    from tests.files.conftest import make_cache

    make_cache(tmp_path / expected)
    assert resolve("org/model", "config.json", local_files_only=True)
    with pytest.raises(FileMissing):
        resolve("org/model", "config.json", local_files_only=True, cache_dir=tmp_path / "other")


def test_nothing_cached_and_no_network(no_sockets: list[object], tmp_path: Path) -> None:
    from tests.files.conftest import make_cache

    make_cache(tmp_path / "hf" / "hub", "org/modal")
    for required in (True, False):
        with pytest.raises(FileMissing) as caught:
            resolve("org/model", "config.json", required=required)
        assert str(caught.value).startswith(
            "org/model: config.json is not in the cache, and http://127.0.0.1:9 could not be "
            "reached (")
        assert "Looked for a folder 'org/model' here, then for " in str(caught.value)
        assert "(nearest: 'org/modal')" in str(caught.value)
        assert "give a local folder" in str(caught.value)
    assert len(no_sockets) == 1  # the second look does not wait for the network again


def test_unknown_revision_offline(cached: Path) -> None:
    with pytest.raises(FileMissing, match="which does not know the revision 'v2'"):
        resolve("org/model", "config.json", revision="v2", local_files_only=True)


def test_known_absent(cached: Path, no_sockets: list[object]) -> None:
    marker = cached / ".no_exist" / COMMIT / "merges.txt"
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert resolve("org/model", "merges.txt", revision=COMMIT, required=False) is None
    assert no_sockets == []
    with pytest.raises(FileMissing, match=r"has no file 'merges.txt' at revision main"):
        resolve("org/model", "merges.txt", local_files_only=True)


def test_list_left_by_a_full_download(cached: Path, no_sockets: list[object]) -> None:
    (cached / "trees").mkdir()
    (cached / "trees" / f"{COMMIT}.json").write_text('{"files": {"config.json": {}}}')
    assert resolve("org/model", "merges.txt", revision=COMMIT, required=False) is None
    assert list_files("org/model", HubOptions(revision=COMMIT)) == ["config.json"]
    assert no_sockets == []


# ---- the Hub

def test_download_then_no_more_requests(fake_hub, tmp_path: Path) -> None:
    found = resolve("org/model", "config.json")
    assert found and found.read_bytes() == b"{}"
    assert fake_hub.requests[0] == "GET /api/models/org/model/revision/main"
    assert [r.split()[0] for r in fake_hub.requests[1:]] == ["HEAD", "GET"]
    assert resolve("org/model", "merges.txt", required=False) is None  # the list says so
    assert len(fake_hub.requests) == 3

    repo.asked.clear()  # another process
    assert resolve("org/model", "config.json") == found
    assert resolve("org/model", "config.json") == found
    assert resolve("org/model", "merges.txt", required=False) is None
    assert len(fake_hub.requests) == 4  # one question

    repo.asked.clear()
    assert resolve("org/model", "config.json", revision=COMMIT) == found
    assert resolve("org/model", "merges.txt", revision=COMMIT, required=False) is None
    assert resolve("org/model", "config.json", local_files_only=True) == found  # refs are written
    assert len(fake_hub.requests) == 4  # none


def test_huggingface_hub_finds_what_we_cached(fake_hub, tmp_path: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    found = resolve("org/model", "config.json", cache_dir=tmp_path / "c")
    assert try_to_load_from_cache("org/model", "config.json", tmp_path / "c") == str(found)


def test_branch_moved(cached: Path, fake_hub) -> None:
    fake_hub.commit, fake_hub.files = NEWER, {"config.json": b'{"new": 1}'}
    found = resolve("org/model", "config.json")
    assert found.read_bytes() == b'{"new": 1}'
    assert commit_of(found) == NEWER
    assert (cached / "refs" / "main").read_text() == NEWER
    assert resolve("org/model", "config.json", revision=COMMIT).read_text() == "{}"


def test_branch_moved_in_a_long_process(cached: Path, fake_hub) -> None:
    assert commit_of(resolve("org/model", "config.json")) == COMMIT
    fake_hub.commit = NEWER
    assert commit_of(resolve("org/model", "config.json")) == COMMIT  # asked once
    repo.forget("org/model")  # as push_to_hub does
    assert commit_of(resolve("org/model", "config.json")) == NEWER


def test_force_download_mends_a_damaged_file(fake_hub) -> None:
    found = resolve("org/model", "config.json")
    found.resolve().write_bytes(b"damaged")
    assert resolve("org/model", "config.json").read_bytes() == b"damaged"
    assert resolve("org/model", "config.json", force_download=True).read_bytes() == b"{}"


def test_force_download_without_network(cached: Path) -> None:
    with pytest.raises(FileMissing, match="org/model: config.json was to be downloaded anew, and "
                                          "http://127.0.0.1:9 could not be reached"):
        resolve("org/model", "config.json", force_download=True)
    with pytest.raises(FileMissing, match="force_download=True needs the network, which "
                                          "local_files_only=True forbids. Do: drop one of them"):
        resolve("org/model", "config.json", force_download=True, local_files_only=True)


def test_subfolder_and_slashed_revision(fake_hub) -> None:
    found = resolve("org/model", "vocab.txt", subfolder="sub", revision="pr/1")
    assert found.read_bytes() == b"a\nb\n"
    assert list_files("org/model", HubOptions(subfolder="sub")) == ["vocab.txt"]


def test_missing_file_on_the_hub(fake_hub) -> None:
    with pytest.raises(FileMissing) as caught:
        resolve("org/model", "confg.json")
    assert str(caught.value) == (
        "org/model: the repository has no file 'confg.json' at revision main (nearest: "
        "'config.json'). It holds config.json, sub/vocab.txt")


def test_server_without_lists(fake_hub) -> None:
    fake_hub.lists = False
    assert resolve("org/model", "config.json").read_bytes() == b"{}"
    assert resolve("org/model", "merges.txt", required=False) is None


@pytest.mark.parametrize(("error", "token", "parts"), [
    ((401, "RepoNotFound"), None, ["has no such repository, or it is private", "status 401",
                                   "no token was sent", "hf auth login", "token="]),
    ((404, "RepoNotFound"), "hf_x", ["has no such repository", "status 404", "a token was sent"]),
    ((403, "GatedRepo"), "hf_x", ["is gated (status 403, a token was sent)", "accept its terms",
                                  "/org/model"]),
    ((404, "RevisionNotFound"), None, ["no branch, tag or commit 'main'", "/tree/main"]),
    ((403, ""), None, ["access was denied (status 403, no token was sent)"]),
    ((501, "Odd"), None, ["answered with status 501"]),
])
def test_refusals(fake_hub, error: tuple[int, str], token: str | None, parts: list[str]) -> None:
    fake_hub.error = error
    with pytest.raises(FileMissing) as caught:
        resolve("org/model", "config.json", token=token)
    assert str(caught.value).startswith("org/model: ")
    for part in parts:
        assert part in str(caught.value)


def test_gated_files_of_a_public_page(fake_hub) -> None:
    fake_hub.file_error = (403, "GatedRepo")
    for required in (True, False):  # it exists: an optional file must not seem absent
        with pytest.raises(FileMissing, match="gated"):
            resolve("org/model", "config.json", required=required)


@pytest.mark.parametrize("error", [(401, "RepoNotFound"), (429, ""), (500, ""), (404, "")])
def test_cache_serves_when_the_hub_refuses(cached: Path, fake_hub, error: tuple[int, str],
                                           caplog: pytest.LogCaptureFixture) -> None:
    fake_hub.error = error
    assert commit_of(resolve("org/model", "config.json")) == COMMIT
    assert resolve("org/model", "merges.txt", required=False) is None
    assert ("no such repository" in caplog.text) == (error[1] == "RepoNotFound")


def test_token(fake_hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    resolve("org/model", "config.json")
    assert set(fake_hub.tokens) == {"Bearer hf_environment"}
    fake_hub.tokens.clear()
    resolve("org/model", "sub/vocab.txt", token="hf_given")
    assert set(fake_hub.tokens) == {"Bearer hf_given"}
    fake_hub.tokens.clear()
    resolve("org/model", "config.json", token=False, force_download=True)
    assert set(fake_hub.tokens) == {None}


def test_token_that_must_exist(fake_hub) -> None:
    with pytest.raises(FileMissing, match="token=True was given, but no token is stored here"):
        resolve("org/model", "config.json", token=True)


# ---- options

def test_options_are_taken_out_of_keywords() -> None:
    keywords = {"revision": "v1", "subfolder": None, "use_auth_token": "t", "resume_download": True,
                "dtype": "auto"}
    assert HubOptions.pop(keywords) == HubOptions(revision="v1", token="t")
    assert keywords == {"dtype": "auto"}


def test_options_contradict() -> None:
    with pytest.raises(ArgumentError, match="token= and use_auth_token= were both given"):
        HubOptions.pop({"token": "a", "use_auth_token": "b"})
