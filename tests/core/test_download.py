"""Downloads, from an HTTP server on this machine: nothing here touches the internet.

What cannot be tested here: that the published addresses still answer, and with these files.
"""

import hashlib
import re
import tempfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from data_files import real, real_path, write, write_zip

from accel_core import datasets
from accel_core.datasets import DataCorrupted, DataUnavailable, load
from accel_core.datasets import published as catalogue

PAGE = b"<!DOCTYPE html><title>Down for maintenance</title>"


class Server(ThreadingHTTPServer):
    """Serves `files`, address → content; what is in `cut` stops half way; counts the requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.cut, self.requests = {}, set(), []
        self.address = f"http://127.0.0.1:{self.server_port}/"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        address = self.path.removeprefix("/")
        self.server.requests.append(address)
        if address not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[address]
        self.send_response(200)
        if (address, "length") not in self.server.cut:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = {address, (address, "length")} & self.server.cut
        self.wfile.write(content[: len(content) // 2] if half else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path, server, no_data):
    """An empty cache, no folder of data, and the server as the only address of everything."""
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    only_here = {
        folder: replace(publication, mirrors=(server.address,))
        for folder, publication in catalogue.PUBLICATIONS.items()
    }
    monkeypatch.setattr(datasets, "PUBLICATIONS", only_here)
    return tmp_path / "cache"


def held(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---- real files ----


def test_abalone_comes_zipped_and_is_kept(server, cache, tmp_path):
    write_zip(tmp_path / "z.zip", {"abalone.data": real("abalone/abalone.data"), "Index": b""})
    server.files["abalone.zip"] = (tmp_path / "z.zip").read_bytes()
    first = load("abalone")
    assert first.X.shape == (4177, 10) and first.source == "published zip, the user's cache"
    assert held(cache) == ["abalone/abalone.zip"]
    assert load("abalone").digest == first.digest
    assert load("abalone-without-sex", download=False).X.shape == (4177, 7)
    assert server.requests == ["abalone.zip"]  # once


def test_mnist_comes_from_the_mirror_that_has_all_of_it(server, cache, monkeypatch):
    files = [file for file in catalogue.CHECKSUMS if file.startswith("mnist/")]
    contents = {f"{f.removeprefix('mnist/')}.gz": real_path(f).read_bytes() for f in files}
    server.files.update({f"whole/{name}": content for name, content in contents.items()})
    server.files.update({f"parts/{name}": content for name, content in contents.items()})
    del server.files["parts/t10k-labels-idx1-ubyte.gz"]
    mirrors = (f"{server.address}parts/", f"{server.address}whole/")
    mnist = replace(catalogue.PUBLICATIONS["mnist"], mirrors=mirrors)
    monkeypatch.setitem(datasets.PUBLICATIONS, "mnist", mnist)
    assert load("mnist").train.images.shape == (60_000, 28, 28)
    assert held(cache) == sorted(f"{file}.gz" for file in files)
    assert len(server.requests) == 8
    assert load("mnist").test.labels.shape == (10_000,)
    assert len(server.requests) == 8


# ---- failures; the content is MADE UP, its checksum patched in ----

ROWS = b"M,0.5,0.4,0.1,0.5,0.2,0.1,0.2,9\nI,0.3,0.2,0.1,0.2,0.1,0.1,0.1,7\n" * 200


@pytest.fixture
def zipped(monkeypatch, tmp_path):
    """A zip of a made-up table that would be accepted."""
    checksum = f"sha256:{hashlib.sha256(ROWS).hexdigest()}"
    monkeypatch.setitem(catalogue.CHECKSUMS, "abalone/abalone.data", checksum)
    write_zip(tmp_path / "z.zip", {"abalone.data": ROWS})
    return tmp_path / "z.zip"


def zip_of(members):
    with tempfile.TemporaryDirectory() as folder:
        write_zip(Path(folder) / "z.zip", members)
        return (Path(folder) / "z.zip").read_bytes()


REFUSED = "what it sent was refused: "
WRONG = {  # what the server does → what is told of it
    "cut": "IncompleteRead|Connection broken",
    "cut without a length": f"{REFUSED}not a zip that can be read",
    "another content": rf"{REFUSED}not the published abalone.data \(sha256:",
    "a page": f"{REFUSED}not a zip that can be read",
    "missing": "404 Client Error",
    "nobody": "Connection refused",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_download_that_goes_wrong_is_told_and_leaves_nothing(
    wrong, server, cache, zipped, tmp_path
):
    content = {
        "another content": zip_of({"abalone.data": ROWS.replace(b"0.5", b"0.6")}),
        "a page": PAGE,
    }.get(wrong, zipped.read_bytes())
    server.files = {} if wrong == "missing" else {"abalone.zip": content}
    server.cut = {"cut": {"abalone.zip"}, "cut without a length": {("abalone.zip", "length")}}.get(
        wrong, set()
    )
    if wrong == "nobody":
        server.shutdown()
        server.server_close()
    before = held(tmp_path)
    with pytest.raises(DataUnavailable) as told:
        load("abalone")
    reason = told.value.reasons[-1]
    assert reason.startswith(server.address) and re.search(WRONG[wrong], reason), reason
    assert held(tmp_path) == before and held(cache) == []


def test_what_is_damaged_at_hand_is_not_fetched_anew(server, cache, zipped):
    server.files["abalone.zip"] = zipped.read_bytes()
    write(cache / "abalone/abalone.zip", PAGE)
    with pytest.raises(DataCorrupted, match=r"abalone\.zip: not a zip .*; delete it"):
        load("abalone")
    assert server.requests == []
    (cache / "abalone/abalone.zip").unlink()
    assert load("abalone").X.shape == (400, 10)


def test_a_cache_that_cannot_be_written_is_told(server, monkeypatch, zipped, tmp_path):
    server.files["abalone.zip"] = zipped.read_bytes()
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ACCEL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataUnavailable, match="Not a directory"):
        load("abalone")


def test_nothing_is_fetched_unasked(server, zipped):
    server.files["abalone.zip"] = zipped.read_bytes()
    with pytest.raises(DataUnavailable, match="download: not allowed here"):
        load("abalone", download=False)
    assert server.requests == []


def test_every_data_set_has_an_address(server):
    asked = set()
    for name in datasets.NAMES:
        with pytest.raises(DataUnavailable, match="404 Client Error"):
            load(name)
        asked |= set(server.requests)
    assert {"gas+sensor+array+drift+dataset+at+different+concentrations.zip"} < asked
    assert {"abalone.zip", "train-images-idx3-ubyte.gz", "wine/data.csv.gz"} < asked
    assert all(
        mirror.startswith("https://") and mirror.endswith("/")
        for publication in catalogue.PUBLICATIONS.values()
        for mirror in publication.mirrors
    )
