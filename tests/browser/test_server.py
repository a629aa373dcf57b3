"""The server that `make lab` starts: for this machine and for who has its token, and nobody else."""

import json
import re
import urllib.error
import urllib.request

import psutil
import pytest


def get(url: str, **headers):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60)


def test_the_printed_address_opens_jupyterlab(lab):
    with get(lab.address) as answer:
        assert answer.status == 200 and "/lab/tree/notebooks/00_start_here.ipynb" in answer.url
        assert b"<title>JupyterLab</title>" in answer.read()


def test_without_the_token_there_is_only_the_login_page(lab):
    with get(lab.url("/lab")) as answer:
        assert "/login?" in answer.url


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token 0123456789abcdef"}], ids=["no token", "a wrong one"])
@pytest.mark.parametrize("path", ["/api/contents", "/api/kernels", "/files/notebooks/00_start_here.ipynb"])
def test_without_the_token_it_gives_nothing_away(lab, path, headers):
    try:
        with get(lab.url(path), **headers) as answer:
            assert "/login?" in answer.url
    except urllib.error.HTTPError as refusal:
        assert refusal.code == 403
    with get(lab.url(path), Authorization=f"token {lab.token}") as answer:
        assert answer.status == 200 and "/login" not in answer.url


def test_it_shows_the_course(lab):
    with get(lab.url("/api/contents/notebooks"), Authorization=f"token {lab.token}") as answer:
        names = {entry["name"] for entry in json.load(answer)["content"]}
    assert names == set(lab.as_copied) and "00_start_here.ipynb" in names


def test_the_token_is_long_and_random(lab):
    assert re.fullmatch(r"[0-9a-f]{32,}", lab.token)


def test_server_and_kernels_listen_on_this_machine_only(lab, notebook_00):
    processes = psutil.Process(lab.pid).children(recursive=True)
    listening = {
        connection.laddr
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert lab.port in {address.port for address in listening}
    assert len({address.port for address in listening}) > 5, "a kernel listens on five ports, and there is one"
    assert {address.ip for address in listening} <= {"127.0.0.1", "::1"}
