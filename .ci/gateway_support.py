"""The gateways of deploy/ as processes, a service that only listens, and HTTP as bytes."""

import contextlib
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid

# The customers of the demo world, and the keys of the gateways' stubs.
PLATFORM = "e7cf5371-12b0-4a1d-8f63-5d0a9c2b7e14"
RESELLER = "5b0c2a94-7d36-4e58-9a1f-c3e86d4f0b27"
SUB_CUSTOMER = "a91d4e60-38fb-4c72-b5d9-1e07f2c6a843"
PLATFORM_KEY = "meridian-demo-key"
RESELLER_KEY = "nordlicht-demo-key"

# Tests have thousands of connections, and often both of their ends.
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

CONTACTS = f"/api/v2/customer/{SUB_CUSTOMER}/contact"


def line_with(path, text):
    """Waits for the only line of a log with this text."""
    for _ in range(200):
        with open(path, encoding="latin-1") as log:
            lines = [line.rstrip("\n") for line in log if text in line]
        if lines:
            assert len(lines) == 1, f"more than one line of {path} has {text}: {lines}"
            return lines[0]
        time.sleep(0.05)
    raise AssertionError(f"no line of {path} has {text}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Gateway:
    """A gateway of deploy/, with its addresses and folders changed to this machine's. Each replaced text must exist."""

    def __init__(self, upstream, changes=None):
        self.address = ("127.0.0.1", free_port())
        self.upstream = "%s:%d" % upstream
        self.changes = changes or {}
        self.folder = tempfile.mkdtemp(prefix="gateway-", dir=os.environ["SCRATCH"])
        os.chmod(self.folder, 0o755)
        shutil.copytree(f"deploy/{self.name}", self.folder, dirs_exist_ok=True)
        for file, replacements in self.replacements().items():
            self.replace(os.path.join(self.folder, file), replacements)
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log)
        self.wait()

    @staticmethod
    def replace(path, replacements):
        with open(path) as file:
            text = file.read()
        for old, new in replacements.items():
            assert old in text, f"{path} does not have: {old}"
            text = text.replace(old, new)
        with open(path, "w") as file:
            file.write(text)

    def wait(self):
        for _ in range(200):
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(self.address, timeout=1):
                return
            time.sleep(0.05)
        with open(self.log.name) as log:
            raise AssertionError(f"{self.name} does not listen: {log.read()}")

    def logged(self, text):
        """Waits for the only line of its log with this text."""
        return line_with(self.log.name, text)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)
        self.log.close()


class Nginx(Gateway):
    name = "nginx"
    longest_header = 8192
    long_heads_get_the_envelope = True

    def replacements(self):
        return {
            "nginx.conf": {
                **self.changes,
                "customer-deletion:8080": self.upstream,
                "listen 8088;": "listen %s:%d;" % self.address,
                "/run/": self.folder + "/",
            },
            "authenticator-stub.conf": {"/run/": self.folder + "/"},
        }

    def command(self):
        return ["nginx", "-p", self.folder, "-c", f"{self.folder}/nginx.conf", "-g", "daemon off;"]


class HAProxy(Gateway):
    name = "haproxy"
    longest_header = 15360
    # To HAProxy, a head that exceeds its buffer is not HTTP.
    long_heads_get_the_envelope = False

    def replacements(self):
        return {
            "haproxy.cfg": {
                "customer-deletion:8080": self.upstream,
                "bind :8088": "bind %s:%d" % self.address,
                "/etc/haproxy/": self.folder + "/",
                **self.changes,
            }
        }

    def command(self):
        return ["haproxy", "-W", "-f", f"{self.folder}/haproxy.cfg"]


class Recorder:
    """A stub of the service: it keeps the requests, and closes the connection or answers as it is told."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        # The connections that are open, and the most that were.
        self.open, self.most_open, self.lock = 0, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def count(self, change):
        with self.lock:
            self.open += change
            self.most_open = max(self.most_open, self.open)

    def serve(self, connection):
        self.count(1)
        try:
            self.answer_all(connection)
        finally:
            self.count(-1)

    def answer_all(self, connection):
        with connection, contextlib.suppress(OSError):
            while head := read_head(connection):
                read_body(connection, head)
                self.requests.append(head)
                answer = self.answer(len(self.requests))
                if answer is None:
                    return
                connection.sendall(answer)

    def stop(self):
        self.listener.close()


def read_head(connection):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return None
        data += byte
    return data


def read_body(connection, head):
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    if length:
        connection.recv(int(length[1]), socket.MSG_WAITALL)
    elif re.search(rb"(?i)\ntransfer-encoding: *chunked", head):
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data += connection.recv(1)


def headers(head, name):
    """The values of a header, in whatever spelling of its name."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    return [value.strip() for key, value in pairs if key.strip().lower().replace("_", "-") == name.lower()]


def request(method, path, *lines, body=b"", length=True, version="HTTP/1.1"):
    """A request as bytes, its header lines as they are given."""
    head = [f"{method} {path} {version}", "Host: gateway.example.com", *lines]
    if length and body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def chunked(body, trailer=b""):
    return b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailer)


def ids(*ids):
    return ('{"id": ["%s"]}' % '","'.join(ids)).encode()


class Answer:
    def __init__(self, data):
        self.data = data
        head, _, self.rest = data.partition(b"\r\n\r\n")
        self.head = head + b"\r\n\r\n"
        self.status = int(head.split(b" ")[1]) if head.startswith(b"HTTP/1.1 ") else None

    def is_whole(self):
        length = self.header("Content-Length")
        return length is not None and len(self.rest) >= int(length)

    def header(self, name):
        """The value of a header that is sent at most once: readers could choose either of two."""
        values = headers(self.head, name)
        if len(values) > 1:
            raise AssertionError(f"{name} is there {len(values)} times: {values}")
        return values[0] if values else None

    def __repr__(self):
        return repr(self.data)


def send(to, data, timeout=10, source=None, linger=False):
    """The answer. With `lingers`, everything until the other side closes or is silent for a while."""
    with socket.create_connection(to, timeout=timeout, source_address=source) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        answer = Answer(b"")
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65536):
                answer = Answer(answer.data + part)
                if answer.is_whole() and not linger:
                    break
                connection.settimeout(1 if linger else timeout)
        return answer


def sql(statement):
    options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1",
               f"--dbname={os.environ['DATABASE']}", "--username=postgres"]
    return subprocess.run(
        [os.environ["PSQL"], *options, f"--host={os.environ['SOCKET_FOLDER']}", f"--command={statement}"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()


def new_contact():
    contact = str(uuid.uuid4())
    sql(f"insert into contact (id, customer_id, email, mobile) "
        f"values ('{contact}', '{SUB_CUSTOMER}', 'a@example.com', '+491510000')")
    return contact


def is_live(contact):
    return sql(f"select deleted_at is null from contact where id = '{contact}'") == "t"


def requesters(contact):
    """The requesters of the recorded operations on this contact."""
    return sql(f"select distinct requester_id from operation where '{contact}' = any(target_ids)").split()


def actors(contact):
    """The actors of the recorded operations on this contact. An operation without one has an empty text."""
    recorded = sql(f"select distinct '=' || coalesce(actor, '') from operation where '{contact}' = any(target_ids)")
    return [line[1:] for line in recorded.splitlines()]
