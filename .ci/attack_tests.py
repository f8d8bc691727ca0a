"""A few hundred attackers who try to take the service from everybody else: the release build in a small container, and in
front of it the gateways of deploy/. Beside each attack a requester calls as usual, and the liveness probe asks."""

import contextlib
import itertools
import json
import os
import selectors
import socket
import threading
import time
import unittest
import uuid

from gateway_support import (
    CONTACTS, PLATFORM, PLATFORM_KEY, RESELLER, RESELLER_KEY, Answer, HAProxy, Nginx, address, ids, request, send, sql,
)

SERVICE, MANAGEMENT = address(os.environ["SERVICE"]), address(os.environ["MANAGEMENT"])
ATTACKED = f"/api/v2/customer/{RESELLER}/contact"

# Each attack lasts so many seconds.
SECONDS = int(os.environ.get("SECONDS_OF_ATTACK", 3))
# The timeout of the liveness probe in deploy/kubernetes/deployment.yaml, in seconds.
PROBE = 3
# The number of calls, of which one may fail.
LEAST_CALLS = 100
# In bytes. The budget of memory assumes that the process takes less without calls (IDLE of src/limits/memory.rs).
IDLE = 64 << 20
MIB = 1 << 20


def resident():
    """The memory that the service has for itself, without the pages of its program that it has read."""
    with open(f"/proc/{os.environ['SERVICE_PID']}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))


def answer_to(to, data, timeout=5):
    """The answer, which is empty if none came in time."""
    with contextlib.suppress(OSError):
        return send(to, data, timeout=timeout)
    return Answer(b"")


def contacts(count):
    """New contacts of the usual requester's sub-customer."""
    customer = CONTACTS.split("/")[-2]
    return sql(f"insert into contact (id, customer_id, email, mobile) select gen_random_uuid(), '{customer}', "
               f"'a@example.com', '+491510000' from generate_series(1, {count}) returning id").split()


class Crowd:
    """Connections that send what they have as fast as the other side takes it. They read nothing, and stay open."""

    def __init__(self, to):
        self.to, self.sockets, self.joining, self.ends = to, [], [], False
        self.selector = selectors.DefaultSelector()
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def add(self, data=b"", count=1):
        self.joining.extend([data] * count)

    def connect(self, data):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        connection.connect_ex(self.to)
        self.sockets.append(connection)
        self.selector.register(connection, selectors.EVENT_WRITE, memoryview(data))

    def send(self):
        while not self.ends:
            while self.joining:
                self.connect(self.joining.pop())
            for key, _ in self.selector.select(timeout=0.05):
                rest = key.data
                try:
                    rest = rest[key.fileobj.send(rest[:65536]):]
                except BlockingIOError:
                    continue
                except OSError:
                    rest = b""
                if rest:
                    self.selector.modify(key.fileobj, selectors.EVENT_WRITE, rest)
                else:
                    self.selector.unregister(key.fileobj)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        for connection in self.sockets:
            connection.close()
        self.selector.close()


class Attacks:
    """The same directly and behind each gateway."""

    def call(self, *arguments, **options):
        """A call of the attacker."""
        return request(*arguments[:2], self.attacker, *arguments[2:], **options)

    def part(self, length, sent, *lines):
        """The head of a deletion, and a part of its body."""
        return self.call("DELETE", ATTACKED, f"Content-Length: {length}", *lines) + b" " * sent

    def assert_serves(self, attack=lambda: None, seconds=SECONDS):
        """Calls as usual and asks the probe for so long, and repeats the attack meanwhile."""
        answers, probes, going, ends = [], [], [True], time.monotonic() + seconds

        def probe():
            while going:
                probes.append(answer_to(MANAGEMENT, request("GET", "/health/live"), timeout=PROBE).status)
                time.sleep(0.1)

        def attacks():
            while going:
                attack()
                time.sleep(0.01)

        threads = [threading.Thread(target=probe), threading.Thread(target=attacks)]
        for thread in threads:
            thread.start()
        while time.monotonic() < ends or len(answers) < LEAST_CALLS:
            body = ids(next(self.contacts))
            answers.append(answer_to(self.to, request("DELETE", CONTACTS, self.usual, body=body)))
            time.sleep(0.02)
        going.clear()
        for thread in threads:
            thread.join()
        failed = [answer for answer in answers if answer.status != 200]
        print(f"{self.id()}: {len(answers)} calls, failed {failed}, {len(probes)} probes, {resident() // MIB} MiB",
              flush=True)
        self.assertTrue(all(status == 200 for status in probes), probes)
        self.assertLessEqual(len(failed), len(answers) / 100, failed)

    @classmethod
    def setUpClass(cls):
        cls.contacts = iter(contacts(20_000))

    @classmethod
    def tearDownClass(cls):
        """Memory comes back after all attacks."""
        ends = time.monotonic() + 30
        while resident() > IDLE:
            assert time.monotonic() < ends, f"{resident()} bytes after all attacks"
            time.sleep(0.2)
        print(f"{resident() // MIB} MiB after all attacks", flush=True)

    def test_thousands_of_requests_whose_answers_nobody_reads(self):
        calls = self.call("GET", "/api/v3/global/call") * 2500
        pages = request("GET", "/docs/swagger-ui-bundle.js") * 2500
        with Crowd(self.to) as crowd, Crowd(MANAGEMENT) as of_management:
            crowd.add(calls, 18)
            crowd.add(pages, 18)
            of_management.add(request("GET", "/metrics") * 2500, 18)
            self.assert_serves()

    def test_large_answers_that_nobody_reads(self):
        refused = send(self.to, self.call("DELETE", ATTACKED, body=unknown(1000)))
        self.assertEqual(refused.status, 404, refused)
        with Crowd(self.to) as crowd:
            crowd.add(self.call("GET", f"/api/v3/global/call/{refused.header('Request-Id')}"), 300)
            self.assert_serves()

    def test_bodies_that_never_end_beside_large_heads(self):
        later = "Prefer: respond-async"
        for _ in range(2):
            with Crowd(self.to) as crowd:
                crowd.add(self.part(MIB, MIB - 1), 64)
                crowd.add(self.part(8 * MIB, 8 * MIB - 1, later), 64)
                crowd.add(request("GET", "/", "A: " + "x" * 126_000)[:-4], 300)
                self.assert_serves()

    def test_slow_bodies(self):
        with Crowd(self.to) as crowd:
            crowd.add(self.part(100, 1), 160)
            self.assert_serves()

    def test_twenty_slow_bodies_a_second(self):
        with Crowd(self.to) as crowd:
            begins = time.monotonic()
            sent = itertools.count()
            # Begins with as many connections as there are after 10 seconds.
            crowd.add(self.part(100, 1), 200)
            self.assert_serves(lambda: next(sent) > (time.monotonic() - begins) * 20 or crowd.add(self.part(100, 1)))

    def test_large_bodies_now_and_then(self):
        with Crowd(self.to) as crowd:
            self.assert_serves(lambda: (crowd.add(self.part(8 * MIB, 8 * MIB - 1, "Prefer: respond-async"), 4),
                                        time.sleep(2)))

    def test_idle_connections(self):
        with Crowd(self.to) as crowd:
            crowd.add(b"", 600)
            crowd.add(b"GET / HTTP/1.1\r\nHost: te", 600)
            self.assert_serves()

    def test_idle_connections_with_a_requester(self):
        with Crowd(self.to) as crowd:
            crowd.add(self.call("GET", "/api/v3/global/call"), 1100)
            self.assert_serves()

    def test_refused_lists(self):
        later = send(self.to, self.call("DELETE", ATTACKED, "Prefer: respond-async", body=unknown(100_000)))
        self.assertEqual(later.status, 202, later)
        body = unknown(1000)
        refuse = lambda: answer_to(self.to, self.call("DELETE", ATTACKED, body=body))
        self.assert_serves(lambda: [thread.join() for thread in started(refuse, 8)])


def unknown(count):
    return json.dumps({"id": [str(uuid.uuid4()) for _ in range(count)]}).encode()


def started(work, count):
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


class Directly(Attacks, unittest.TestCase):
    to = SERVICE
    attacker, usual = f"X-Requester-Id: {PLATFORM}", f"X-Requester-Id: {RESELLER}"


class Behind(Attacks):
    attacker, usual = f"X-Api-Key: {PLATFORM_KEY}", f"X-Api-Key: {RESELLER_KEY}"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gateway = cls.kind(SERVICE)
        cls.to = cls.gateway.address

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()
        super().tearDownClass()


class BehindNginx(Behind, unittest.TestCase):
    kind = Nginx


class BehindHAProxy(Behind, unittest.TestCase):
    kind = HAProxy


if __name__ == "__main__":
    unittest.main()
