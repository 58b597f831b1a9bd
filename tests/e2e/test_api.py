"""The wire: versions, routes, malformed input, limits, concurrency of connections."""

import http.client
import json
import socket
import time

import pytest

from tests.support.rawhttp import Api, ApiError, UnixConnection


def message(answer):
    return json.loads(answer[2])["message"] if "json" in answer[1]["Content-Type"] else answer[2].decode().strip()


def test_an_unknown_route_is_404_in_json(daemon):
    answer = daemon.api.raw("GET", "/v1.41/no/such/page")
    assert answer[0] == 404 and message(answer) == "page not found"


def test_a_wrong_method_is_not_found(daemon):
    assert daemon.api.raw("DELETE", "/v1.41/info")[0] in (404, 405)


def test_a_version_too_new_is_refused_with_the_maximum(daemon):
    answer = daemon.api.raw("GET", "/v9.99/info")
    version = daemon.api.get("/version")["ApiVersion"]
    assert answer[0] == 400
    assert message(answer) == f"client version 9.99 is too new. Maximum supported API version is {version}"


def test_a_version_too_old_is_refused_with_the_minimum(daemon):
    answer = daemon.api.raw("GET", "/v1.0/info")
    assert answer[0] == 400 and message(answer).startswith("client version 1.0 is too old. Minimum supported API version is ")


def test_without_a_version_the_newest_answers(daemon):
    assert daemon.api.raw("GET", "/info")[0] == 200


@pytest.mark.parametrize("body", [b"{", b'{"Image": }', b"[1, 2", b'{"Image": 7}', b'{"HostConfig": "x"}', b"\xff\xfe", b'"text"'])
def test_malformed_json_is_400(daemon, body):
    answer = daemon.api.raw("POST", "/v1.41/containers/create", body, {"Content-Type": "application/json"})
    assert (answer[0] == 400 or not daemon.engine.is_bryo) and message(answer)  # dockerd 20.10 says 500


def test_an_empty_body_is_400(daemon):
    assert daemon.api.raw("POST", "/v1.41/containers/create", b"", {"Content-Type": "application/json"})[0] in (400, 500)


@pytest.mark.bryo_only
def test_deep_json_does_not_end_the_engine(daemon):
    answer = daemon.api.raw("POST", "/v1.41/containers/create", b"[" * 200_000, {"Content-Type": "application/json"})
    assert answer[0] == 400
    assert daemon.answers()


@pytest.mark.bryo_only
def test_a_huge_json_body_is_refused(daemon):
    body = b'{"Image": "' + b"x" * (64 << 20) + b'"}'
    try:
        status = daemon.api.raw("POST", "/v1.41/containers/create", body, {"Content-Type": "application/json"})[0]
    except OSError:
        status = 413
    assert status in (400, 413)
    assert daemon.answers()


def test_unknown_fields_are_ignored(daemon):
    daemon.pull("busybox")
    assert daemon.api.post("/containers/create", {"Image": "busybox", "NoSuchField": {"x": 1}, "HostConfig": {"Strange": []}})["Id"]


def test_a_wrong_content_type_is_refused(daemon):
    answer = daemon.api.raw("POST", "/v1.41/containers/create", b'{"Image": "busybox"}', {"Content-Type": "text/plain"})
    assert answer[0] in (400, 415, 500) and "Content-Type" in message(answer)


@pytest.mark.bryo_only
def test_create_without_an_image(daemon):
    with pytest.raises(ApiError) as error:
        daemon.api.post("/containers/create", {"Cmd": ["true"]})
    assert error.value.status == 400


def test_create_of_a_missing_image_is_404_with_dockers_words(daemon):
    with pytest.raises(ApiError) as error:
        daemon.api.post("/containers/create", {"Image": "nosuch:tag"})
    assert error.value.status == 404 and error.value.message == "No such image: nosuch:tag"


@pytest.mark.parametrize("name", ["x", "has space", "../up", "ünï", "a/b", "-dash", "a" * 2000])
def test_container_names_that_are_none(daemon, name):
    daemon.pull("busybox")
    if name == "a" * 2000 and not daemon.engine.is_bryo:
        pytest.skip("dockerd takes it")
    with pytest.raises(ApiError) as error:
        daemon.api.post("/containers/create", {"Image": "busybox"}, name=name)
    assert error.value.status == 400 and "Invalid container name" in error.value.message


def test_a_name_conflict_is_409_and_names_the_owner(daemon):
    daemon.pull("busybox")
    first = daemon.api.post("/containers/create", {"Image": "busybox"}, name="box")["Id"]
    with pytest.raises(ApiError) as error:
        daemon.api.post("/containers/create", {"Image": "busybox"}, name="box")
    assert error.value.status == 409
    assert error.value.message == (f'Conflict. The container name "/box" is already in use by container "{first}". '
                                   "You have to remove (or rename) that container to be able to reuse that name.")


def test_no_such_container_is_404_with_dockers_words(daemon):
    for method, path in (("GET", "/containers/nosuch/json"), ("POST", "/containers/nosuch/start"), ("DELETE", "/containers/nosuch"),
                         ("GET", "/containers/nosuch/logs?stdout=1"), ("POST", "/containers/nosuch/exec")):
        status, _, data = daemon.api.raw(method, f"/v1.41{path}", b'{"Cmd":["x"]}' if "exec" in path else None, {"Content-Type": "application/json"})
        assert status == 404 and json.loads(data)["message"] == "No such container: nosuch", path


def test_keep_alive_and_pipelined_requests(daemon):
    connection = UnixConnection(daemon.socket, 10)
    connection.request("GET", "/_ping")
    connection.getresponse().read()
    first = connection.sock
    connection.request("GET", "/v1.41/info")
    assert connection.getresponse().read() and connection.sock is first
    connection.close()


def test_http_1_0_and_no_host_header(daemon):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(daemon.socket))
        raw.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        data = b""
        while piece := raw.recv(4096):
            data += piece
    assert data.startswith(b"HTTP/1.0 200") or data.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("garbage", [b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"GET /_ping HTTP/9.9\r\n\r\n", b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                                     b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /_ping HTTP/1.1\r\n" + b"X: y\r\n" * 50_000 + b"\r\n"])
def test_garbage_ends_one_connection_only(daemon, garbage):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(daemon.socket))
        try:
            raw.sendall(garbage)
            answer = raw.recv(4096)
        except OSError:
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 5") or answer.startswith(b"HTTP/1.0 4")
    assert daemon.answers()


def test_chunked_request_bodies(daemon):
    daemon.pull("busybox")
    connection = UnixConnection(daemon.socket, 10)
    body = json.dumps({"Image": "busybox"}).encode()
    connection.request("POST", "/v1.41/containers/create", iter([body[:5], body[5:]]), {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 201 and json.loads(response.read())["Id"]
    connection.close()


def test_expect_100_continue(daemon):
    """curl sends it with larger bodies."""
    daemon.pull("busybox")
    body = json.dumps({"Image": "busybox"}).encode()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(daemon.socket))
        raw.sendall(b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert raw.recv(4096).startswith(b"HTTP/1.1 100")
        raw.sendall(body)
        assert raw.recv(4096).startswith(b"HTTP/1.1 201")


def test_two_hundred_connections_at_once(daemon):
    connections = [UnixConnection(daemon.socket, 10) for _ in range(200)]
    for connection in connections:
        connection.request("GET", "/_ping")
    assert all(c.getresponse().read() == b"OK" for c in connections)
    for connection in connections:
        connection.close()


def test_a_slow_client_holds_up_nobody(daemon):
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(daemon.socket))
        slow.sendall(b"POST /v1.41/containers/create HTTP/1.1\r\nHost: x\r\nContent-Le")
        for _ in range(20):
            assert daemon.answers()


def test_clients_that_leave_free_their_descriptors(daemon):
    import os

    before = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    for _ in range(50):
        Api(daemon.socket).stream("GET", "/events").close()
    from tests.support.waiting import wait_for

    wait_for(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) <= before + 5)


def test_filters_of_every_kind_are_checked(daemon):
    for path in ("/containers/json", "/images/json", "/networks", "/volumes", "/events?until=1"):
        joiner = "&" if "?" in path else "?"
        status, _, _ = daemon.api.raw("GET", f"/v1.41{path}{joiner}filters=notjson")
        assert status in (400, 500), path
        status, _, _ = daemon.api.raw("GET", f"/v1.41{path}{joiner}filters=%7B%22nosuch%22%3A%5B%22x%22%5D%7D")
        assert status == 400 or not daemon.engine.is_bryo, path


def test_swarm_routes_say_what_is_not_there(daemon):
    status, _, data = daemon.api.raw("GET", "/v1.41/nodes")
    assert status == 503 and b"swarm" in data
    assert daemon.api.get("/info")["Swarm"]["LocalNodeState"] == "inactive"


def test_head_requests_of_http_client(daemon):
    connection = UnixConnection(daemon.socket, 10)
    connection.request("HEAD", "/_ping")
    response = connection.getresponse()
    assert response.status == 200 and response.read() == b""
    connection.close()
    assert isinstance(connection, http.client.HTTPConnection)


@pytest.mark.bryo_only
@pytest.mark.parametrize("target", ["logs?stdout=1", "export"])
def test_clients_that_do_not_read_keep_nobody_waiting(daemon, target):
    """More of them than there are threads for requests."""
    daemon.pull("busybox")
    talker = daemon.run("busybox", "sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 3000000")
    idle = []
    try:
        for _ in range(300):
            client = socket.socket(socket.AF_UNIX)
            idle.append(client)
            client.connect(str(daemon.socket))
            client.sendall(f"GET /v1.41/containers/{talker}/{target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(1)
        container = daemon.run("busybox", "true")
        assert daemon.state(container)["Status"] == "exited"
    finally:
        for client in idle:
            client.close()
