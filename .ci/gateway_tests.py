"""The promises to callers behind the gateways of deploy/, with the real service and a real PostgreSQL."""

import json
import os
import re
import socket
import time
import unittest
import uuid

from gateway_support import (
    CONTACTS, PLATFORM, PLATFORM_KEY, RESELLER, RESELLER_KEY, HAProxy, Nginx, Recorder, actors, address, chunked,
    free_port, headers, ids, is_live, line_with, new_contact, request, requesters, send, sql,
)

SERVICE = address(os.environ["SERVICE"])
KEY = f"X-Api-Key: {RESELLER_KEY}"
# A service in 256 MiB of memory has 768 connections, and lets one address have three quarters of them.
OF_ONE_ADDRESS = 576
CHALLENGE = 'ApiKey realm="customer-deletion"'
FORGED = f"X-Requester-Id: {RESELLER}"
ORIGIN = "Origin: https://app.example.com"
AUTHENTICATOR = "server { listen unix:/run/authenticator.sock; location / { %s } }"


def answers(count):
    """A service that answers the first calls, and closes the connection at the next."""
    envelope = b'{"errorCode":"","errorMessage":"","content":[{"status":"SUCCESS"}],"pageable":""}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(envelope)
    return lambda number: head + envelope if number <= count else None


class Behind:
    """The same for both gateways."""

    @classmethod
    def setUpClass(cls):
        cls.gateway = cls.kind(SERVICE)

    @classmethod
    def tearDownClass(cls):
        cls.gateway.stop()

    def send(self, data, **options):
        return send(self.gateway.address, data, **options)

    def in_front_of(self, upstream, changes=None):
        gateway = self.kind(upstream, changes)
        self.addCleanup(gateway.stop)
        return gateway

    def recorder(self, answer):
        recorder = Recorder(answer)
        self.addCleanup(recorder.stop)
        return recorder

    def assert_envelope(self, answer, status, code):
        self.assertEqual(answer.status, status, answer)
        envelope = json.loads(answer.rest)
        self.assertEqual((envelope["errorCode"], envelope["content"], envelope["pageable"]), (code, "", ""))
        self.assertEqual(answer.header("Content-Type"), "application/json")
        uuid.UUID(answer.header("Request-Id"))
        self.assert_neighbours_are_told(answer)

    def assert_neighbours_are_told(self, answer):
        """The headers for caches, browsers and clients. A header that is sent twice fails."""
        self.assertEqual(answer.header("Cache-Control"), "no-store", answer)
        self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff", answer)
        self.assertEqual(answer.header("WWW-Authenticate"), CHALLENGE if answer.status == 401 else None, answer)
        self.assertEqual(answer.header("Retry-After"), "1" if answer.status == 503 else None, answer)

    def assert_deleted(self, answer, *contacts):
        self.assertEqual(answer.status, 200, answer)
        self.assert_neighbours_are_told(answer)
        for contact in contacts:
            self.assertFalse(is_live(contact))
            self.assertEqual(requesters(contact), [RESELLER])
        self.assert_names_its_operation(answer, "SUCCESS")

    def assert_names_its_operation(self, answer, status):
        """The log distinguishes answers of the service from answers of the gateway."""
        self.assertEqual(sql(f"select status from operation where id = '{answer.header('Request-Id')}'"), status, answer)

    def test_a_refusal_names_its_operation(self):
        answer = self.send(request("DELETE", CONTACTS, KEY, body=ids(str(uuid.uuid4()))))
        self.assertEqual(answer.status, 404, answer)
        self.assert_names_its_operation(answer, "FAILURE")

    def test_a_long_head_is_the_callers_own_fault(self):
        """400 if it is too long for the gateway, or else 401: there is no key."""
        for length in 7_000, 9_000, 12_000, 15_000, 20_000, 60_000:
            with self.subTest(length):
                answer = self.send(request("DELETE", CONTACTS, f"X-Long: {'x' * length}"))
                status = 401 if length < self.kind.longest_header else 400
                if status == 400 and not self.kind.long_heads_get_the_envelope:
                    self.assertEqual(answer.status, 400, answer)
                    continue
                self.assert_envelope(answer, status, "UNAUTHORIZED" if status == 401 else "BAD_REQUEST")

    def test_a_list_deletion_by_delete(self):
        contacts = new_contact(), new_contact()
        self.assert_deleted(self.send(request("DELETE", CONTACTS, KEY, body=ids(*contacts))), *contacts)

    def test_a_list_deletion_in_chunks(self):
        contacts = new_contact(), new_contact()
        body = chunked(ids(*contacts))
        call = request("DELETE", CONTACTS, KEY, "Transfer-Encoding: chunked", body=body, length=False)
        self.assert_deleted(self.send(call), *contacts)

    def test_a_list_deletion_by_batch_delete(self):
        contacts = new_contact(), new_contact()
        call = request("POST", f"{CONTACTS}:batchDelete", KEY, "Content-Type: application/json", body=ids(*contacts))
        self.assert_deleted(self.send(call), *contacts)

    def test_one_by_its_url(self):
        contact = new_contact()
        self.assert_deleted(self.send(request("DELETE", f"{CONTACTS}/{contact}", KEY)), contact)

    def test_a_slash_at_the_end_changes_nothing(self):
        contact = new_contact()
        self.assert_deleted(self.send(request("DELETE", f"{CONTACTS}/", KEY, body=ids(contact))), contact)
        contact = new_contact()
        self.assert_deleted(self.send(request("DELETE", f"{CONTACTS}/{contact}/", KEY)), contact)
        self.assert_envelope(self.send(request("DELETE", f"{CONTACTS}/", KEY)), 400, "BAD_REQUEST")
        self.assert_envelope(self.send(request("DELETE", f"{CONTACTS}//", KEY, body=ids(contact))), 404, "NOT_FOUND")

    def test_a_deletion_that_is_only_validated(self):
        contact = new_contact()
        answer = self.send(request("DELETE", f"{CONTACTS}/{contact}?validateOnly=true", KEY))
        self.assertEqual((answer.status, is_live(contact), requesters(contact)), (200, True, []), answer)

    def test_several_calls_on_one_connection(self):
        contacts = [new_contact() for _ in range(3)]
        calls = [request("DELETE", f"{CONTACTS}/{contact}", KEY) for contact in contacts]
        answer = self.send(b"".join(calls), linger=True)
        self.assertEqual(answer.data.count(b"HTTP/1.1 200"), 3, answer)
        self.assert_deleted(answer, *contacts)

    def test_a_requester_from_outside_is_never_believed(self):
        """The platform, for which the contact is too deep, claims to be the reseller, for which it is not."""
        for name, lines in self.forgeries().items():
            for key in [f"X-Api-Key: {PLATFORM_KEY}"], []:
                with self.subTest(name, key=key):
                    contact = new_contact()
                    answer = self.send(request("DELETE", CONTACTS, *key, *lines, body=ids(contact)))
                    self.assertTrue(is_live(contact), answer)
                    self.assertIn(answer.status, [400, 401, 404] if key else [400, 401], answer)
                    expected = [PLATFORM] if answer.status == 404 else []
                    self.assertEqual(requesters(contact), expected, answer)

    @staticmethod
    def forgeries():
        return {
            "once": [FORGED],
            "twice": [FORGED, FORGED],
            "beside an own one": [FORGED, f"X-Requester-Id: {PLATFORM}"],
            "after an own one": [f"X-Requester-Id: {PLATFORM}", FORGED],
            "lower case": [FORGED.lower()],
            "upper case": [FORGED.upper()],
            "underscores": [f"X_Requester_Id: {RESELLER}"],
            "one underscore": [f"X-Requester_Id: {RESELLER}"],
            "underscores, twice": [f"X_Requester_Id: {RESELLER}", f"x_requester_id: {RESELLER}"],
            "white space around the value": [f"X-Requester-Id: \t {RESELLER} \t"],
            "a space before the colon": [f"X-Requester-Id : {RESELLER}"],
            "a tab before the colon": [f"X-Requester-Id\t: {RESELLER}"],
            "a space before the name": ["X-A: b", f" X-Requester-Id: {RESELLER}"],
            "on a folded line": ["X-Requester-Id:", f" {RESELLER}"],
            "after a bare LF": [f"X-A: b\nX-Requester-Id: {RESELLER}"],
            "after a bare CR": [f"X-A: b\rX-Requester-Id: {RESELLER}"],
            "after a NUL": [f"X-A: b\0\r\nX-Requester-Id: {RESELLER}"],
            "named by Connection": [FORGED, "Connection: X-Requester-Id"],
            "own one named by Connection": ["Connection: keep-alive, X-Requester-Id"],
            "named by Connection beside close": [FORGED, "Connection: close, X-Requester-Id"],
            "named by Proxy-Connection": [FORGED, "Proxy-Connection: X-Requester-Id"],
            "with words to the authenticator": [FORGED, "X-Original-URI: /docs", "X-Original-Method: GET"],
        }

    def test_a_requester_in_a_trailer_is_never_believed(self):
        contact = new_contact()
        body = chunked(ids(contact), FORGED.encode() + b"\r\n")
        lines = "Transfer-Encoding: chunked", "Trailer: X-Requester-Id", "TE: trailers"
        for key in [f"X-Api-Key: {PLATFORM_KEY}"], []:
            answer = self.send(request("DELETE", CONTACTS, *key, *lines, body=body, length=False))
            self.assertEqual(answer.status, 404 if key else 401, answer)
        self.assertTrue(is_live(contact))
        self.assertEqual(requesters(contact), [PLATFORM])

    def test_an_actor_from_outside_is_never_recorded(self):
        deleted = []
        for name, lines in self.forgeries().items():
            with self.subTest(name):
                contact = new_contact()
                lines = [re.sub("(?i)requester", "Actor", line) for line in lines]
                answer = self.send(request("DELETE", CONTACTS, KEY, *lines, body=ids(contact)))
                self.assertIn(answer.status, [200, 400], answer)
                self.assertEqual(actors(contact), [] if is_live(contact) else [""], answer)
                if not is_live(contact):
                    deleted.append(name)
        self.assertIn("once", deleted)
        self.assertIn("underscores", deleted)

    def test_the_service_is_told_the_requester_once_and_the_ids_of_the_call(self):
        recorder = self.recorder(answers(1))
        gateway = self.in_front_of(recorder.address)
        lines = [KEY, f"X-Requester-Id: {PLATFORM}", f"X_Requester_Id: {PLATFORM}", "Connection: X-Requester-Id",
                 "X-Actor-Id: forged", "x_actor_id: forged",
                 "X-Request-Id: of-the-caller", "Idempotency-Key: once"]
        answer = send(gateway.address, request("DELETE", CONTACTS, *lines, body=ids(str(uuid.uuid4()))))
        self.assertEqual(answer.status, 200, answer)
        [arrived] = recorder.requests
        self.assertEqual(headers(arrived, "X-Requester-Id"), [RESELLER])
        self.assertEqual(headers(arrived, "X-Actor-Id"), [])
        self.assertEqual(headers(arrived, "X-Request-Id"), ["of-the-caller"])
        self.assertEqual(headers(arrived, "Idempotency-Key"), ["once"])
        self.assertEqual(headers(arrived, "X-Api-Key"), [])
        self.assertNotIn("x-requester-id", " ".join(headers(arrived, "Connection")).lower())

    def test_a_call_without_an_id_or_with_a_harmful_one_gets_one(self):
        recorder = self.recorder(answers(2))
        gateway = self.in_front_of(recorder.address)
        for lines in [], ["X-Request-Id: {\"level\":\"error\"}"]:
            send(gateway.address, request("GET", f"/api/v2/global/call/{uuid.uuid4()}", KEY, *lines))
        for arrived in recorder.requests:
            [request_id] = headers(arrived, "X-Request-Id")
            uuid.UUID(request_id)
        self.assertEqual(len(recorder.requests), 2)

    def test_the_trace_of_a_caller_ends_at_the_gateway(self):
        recorder = self.recorder(answers(1))
        gateway = self.in_front_of(recorder.address)
        parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        lines = [f"traceparent: {parent}", f"Traceparent: {parent}", "tracestate: a=b", "tracestate: c=d", "Baggage: e=f"]
        send(gateway.address, request("GET", f"/api/v2/global/call/{uuid.uuid4()}", KEY, *lines))
        [arrived] = recorder.requests
        for name in "traceparent", "tracestate", "baggage":
            self.assertEqual(headers(arrived, name), [], name)

    def test_a_call_is_logged_once_with_the_id_that_the_service_logs(self):
        of_the_caller = f"of-the-caller-{uuid.uuid4()}"
        for lines in [f"X-Request-Id: {of_the_caller}"], [], ["X-Request-Id: {}"], ["X-Request-Id: a", "X-Request-Id: {}"]:
            with self.subTest(lines):
                customer = str(uuid.uuid4())
                path = f"/api/v2/customer/{customer}/contact/{uuid.uuid4()}"
                self.assertEqual(self.send(request("DELETE", f"{path}?validateOnly=true", KEY, *lines)).status, 404)
                of_the_service = json.loads(line_with(os.environ["SERVICE_LOG"], customer))["gateway_request_id"]
                self.assertIn(of_the_caller if lines and of_the_caller in lines[0] else "", of_the_service)
                line = self.gateway.logged(path)
                for part in f'"DELETE {path}" 404 ', f"request_id={of_the_service} ", f"requester={RESELLER} ":
                    self.assertIn(part, line)
                self.assertNotIn("validateOnly", line)

    def test_a_call_that_the_gateway_refuses_is_logged_too(self):
        path = f"{CONTACTS}/{uuid.uuid4()}"
        self.assertEqual(self.send(request("DELETE", path)).status, 401)
        self.assertIn(f'"DELETE {path}" 401 request_id=', self.gateway.logged(path))

    def test_who_is_not_known_gets_the_envelope(self):
        contact = new_contact()
        for lines in [], ["X-Api-Key: no-such-key"], [f"X-Api-Key: {RESELLER_KEY.upper()}"], ["X-Api-Key:"], \
                [f"{KEY}x"], [FORGED], [f"Authorization: Bearer {RESELLER}"]:
            with self.subTest(lines):
                self.assert_envelope(self.send(request("DELETE", CONTACTS, *lines, body=ids(contact))), 401, "UNAUTHORIZED")
        self.assertTrue(is_live(contact))

    def test_what_is_malformed_is_not_kept_by_a_cache(self):
        for name, call in {
            "no HTTP": b"\x16\x03\x01\r\n\r\n",
            "a NUL": request("GET", "/api/\0", KEY),
            "two hosts": request("GET", "/api/x", KEY, "Host: other.example.com"),
            "an unknown coding": request("POST", CONTACTS, KEY, "Transfer-Encoding: xchunked"),
            "two codings": request("POST", CONTACTS, KEY, "Transfer-Encoding: gzip, chunked"),
            "a length that is none": request("POST", CONTACTS, KEY, "Content-Length: x"),
            "a long path": request("GET", "/api/" + "x" * 40000, KEY),
            "a long header": request("GET", "/api/x", KEY, "X-A: " + "x" * 40000),
        }.items():
            with self.subTest(name):
                answer = self.send(call)
                self.assertIn(answer.status, [400, 422], answer)
                self.assertIn(answer.header("Cache-Control"), self.bare_cache_control, answer)

    def test_a_page_of_another_origin_may_not_call(self):
        recorder = self.recorder(answers(1))
        gateway = self.in_front_of(recorder.address)
        preflight = request("OPTIONS", CONTACTS, ORIGIN, "Access-Control-Request-Method: DELETE")
        for call in preflight, request("DELETE", CONTACTS, ORIGIN), request("GET", CONTACTS, ORIGIN, KEY):
            answer = send(gateway.address, call)
            self.assertEqual(headers(answer.head, "Access-Control-Allow-Origin"), [], answer)
            self.assertEqual(headers(answer.head, "Access-Control-Expose-Headers"), [], answer)
        self.assertEqual(len(recorder.requests), 1, "a preflight is no call")

    def test_a_page_of_an_allowed_origin_may_call(self):
        recorder = self.recorder(answers(1))
        gateway = self.in_front_of(recorder.address, self.allow_the_origin)
        wanted = "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: prefer,x-api-key"
        answer = send(gateway.address, request("OPTIONS", CONTACTS, ORIGIN, *wanted))
        self.assertEqual((answer.status, answer.rest), (204, b""), answer)
        self.assertEqual(answer.header("Access-Control-Allow-Origin"), "https://app.example.com")
        self.assertEqual(answer.header("Access-Control-Allow-Methods"), "GET, HEAD, POST, DELETE")
        allowed = answer.header("Access-Control-Allow-Headers").split(", ")
        self.assertEqual(allowed, ["X-Api-Key", "Content-Type", "Idempotency-Key", "Prefer", "X-Request-Id",
                                   "traceparent", "tracestate"])
        self.assertIsNone(answer.header("Access-Control-Allow-Credentials"))
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        uuid.UUID(answer.header("Request-Id"))
        self.assertEqual(recorder.requests, [], "the gateway answers by itself")
        # Answers of the service, answers for a service that is away, and refusals of the gateway.
        call = request("DELETE", CONTACTS, ORIGIN, KEY, body=ids(str(uuid.uuid4())))
        for status, answer in (200, send(gateway.address, call)), (503, send(gateway.address, call)), \
                (401, send(gateway.address, request("DELETE", CONTACTS, ORIGIN))), \
                (401, send(gateway.address, request("OPTIONS", CONTACTS, ORIGIN))):
            self.assertEqual(answer.status, status, answer)
            self.assertEqual(answer.header("Access-Control-Allow-Origin"), "https://app.example.com")
            exposed = answer.header("Access-Control-Expose-Headers").split(", ")
            self.assertEqual(exposed, ["Request-Id", "Location", "Retry-After", "WWW-Authenticate",
                                       "Idempotency-Replayed", "Preference-Applied"])
        for origin in "https://app.example.com.evil.example", "https://evil.example", "null":
            answer = send(gateway.address, request("OPTIONS", CONTACTS, f"Origin: {origin}", *wanted))
            self.assert_envelope(answer, 401, "UNAUTHORIZED")
            self.assertIsNone(answer.header("Access-Control-Allow-Origin"), answer)

    def test_nothing_leads_to_the_management_port(self):
        for path in ["/health/live", "/health/ready", "/metrics", "/", "/api", "/metrics/api/", "/answer", "/preflight",
                     "/authenticate"]:
            with self.subTest(path):
                self.assert_envelope(self.send(request("GET", path, KEY)), 404, "NOT_FOUND")
        for path in ["/api/../metrics", "/api/%2e%2e/metrics", "/docs/../metrics", "/docs/..%2fmetrics",
                     "http://127.0.0.1:8081/metrics", "http://127.0.0.1:8081/api/../metrics"]:
            with self.subTest(path):
                self.assertIn(self.send(request("GET", path, KEY)).status, [400, 404])

    def test_the_pages_of_the_api_are_not_published(self):
        for path in ["/docs", "/docs/", "/docs?requester=x", "/docs/swagger-ui.css", "/openapi.json"]:
            for lines in [KEY], []:
                with self.subTest(path, lines=lines):
                    self.assert_envelope(self.send(request("GET", path, *lines)), 404, "NOT_FOUND")

    def test_a_path_like_that_of_a_page_is_no_way_around_the_authentication(self):
        for path in [f"/docs/..{CONTACTS}", f"/docs/%2e%2e{CONTACTS}", f"/docs/..%2f{CONTACTS[1:]}", f"//docs/..{CONTACTS}"]:
            with self.subTest(path):
                contact = new_contact()
                answer = self.send(request("DELETE", path, FORGED, body=ids(contact)))
                self.assertIn(answer.status, [400, 401, 404, 405], answer)
                self.assertTrue(is_live(contact))
                self.assertEqual(requesters(contact), [])

    def test_a_body_over_the_limit_gets_the_envelope(self):
        contact = new_contact()
        large = ids(contact) + b" " * (1 << 20)
        self.assert_envelope(self.send(request("DELETE", CONTACTS, KEY, body=large)), 413, "PAYLOAD_TOO_LARGE")
        call = request("DELETE", CONTACTS, KEY, "Transfer-Encoding: chunked", body=chunked(large), length=False)
        self.assert_envelope(self.send(call), 413, "PAYLOAD_TOO_LARGE")
        self.assertTrue(is_live(contact))

    def test_a_service_that_is_away_gets_the_envelope(self):
        gateway = self.in_front_of(("127.0.0.1", free_port()))
        answer = send(gateway.address, request("DELETE", CONTACTS, KEY, body=ids(str(uuid.uuid4()))))
        self.assert_envelope(answer, 503, "GLOBAL_1001")
        self.assertEqual(answer.header("Retry-After"), "1")

    def test_a_service_that_does_not_answer_gets_the_envelope_after_a_while(self):
        recorder = self.recorder(lambda _: time.sleep(6))
        gateway = self.in_front_of(recorder.address, self.shorter)
        answer = send(gateway.address, request("DELETE", CONTACTS, KEY, body=ids(str(uuid.uuid4()))))
        self.assert_envelope(answer, 503, "GLOBAL_1001")
        self.assertEqual(answer.header("Retry-After"), "1")
        self.assertEqual(len(recorder.requests), 1)

    def test_a_deletion_that_may_have_arrived_is_not_sent_again(self):
        recorder = self.recorder(answers(0))
        gateway = self.in_front_of(recorder.address)
        for method, path in ("DELETE", CONTACTS), ("POST", f"{CONTACTS}:batchDelete"):
            recorder.requests.clear()
            answer = send(gateway.address, request(method, path, KEY, body=ids(str(uuid.uuid4()))))
            self.assert_envelope(answer, 503, "GLOBAL_1001")
            self.assertEqual(len(recorder.requests), 1)

    def test_a_deletion_is_not_sent_again_when_a_kept_connection_closes(self):
        recorder = self.recorder(answers(1))
        gateway = self.in_front_of(recorder.address)
        call = request("DELETE", CONTACTS, KEY, body=ids(str(uuid.uuid4())))
        answer = send(gateway.address, call + call, linger=True)
        self.assertEqual(answer.data.count(b"HTTP/1.1 200"), 1, answer)
        self.assertEqual(len(recorder.requests), 2, answer)

    def test_nothing_is_smuggled_through(self):
        """A second request hides in the call. It would be a deletion by the reseller, which the key of the platform does not allow."""
        lines = f"X-Api-Key: {PLATFORM_KEY}"
        for name, hide in self.smuggling().items():
            with self.subTest(name):
                contact = new_contact()
                hidden = request("DELETE", CONTACTS, FORGED, body=ids(contact))
                headers, body = hide(hidden)
                self.send(request("POST", f"{CONTACTS}:batchDelete", lines, *headers, body=body, length=False), linger=True)
                self.assertTrue(is_live(contact))
                self.assertEqual(requesters(contact), [])

    @staticmethod
    def smuggling():
        te = "Transfer-Encoding: chunked"
        return {
            "a length and chunks": lambda hidden: ([f"Content-Length: {5 + len(hidden)}", te], b"0\r\n\r\n" + hidden),
            "chunks and a length": lambda hidden: ([te, "Content-Length: 4"], chunked(hidden)),
            "two lengths": lambda hidden: (["Content-Length: 0", f"Content-Length: {len(hidden)}"], hidden),
            "a list of lengths": lambda hidden: (["Content-Length: 0, 0"], hidden),
            "a signed length": lambda hidden: (["Content-Length: +0"], hidden),
            "an unknown coding": lambda hidden: (["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + hidden),
            "two codings": lambda hidden: ([te, "Transfer-Encoding: identity"], b"0\r\n\r\n" + hidden),
            "a coding that is spaced out": lambda hidden: (["Transfer-Encoding : chunked"], b"0\r\n\r\n" + hidden),
            "a vertical tab": lambda hidden: (["Transfer-Encoding: \vchunked"], b"0\r\n\r\n" + hidden),
            "a negative chunk": lambda hidden: ([te], b"-1\r\n" + hidden),
            "a chunk that overflows": lambda hidden: ([te], b"10000000000000000\r\n" + hidden),
            "a chunk ended by LF": lambda hidden: ([te], b"0\n\n" + hidden),
            "an extension with LF": lambda hidden: ([te], b"2;a\nxx\r\n0\r\n\r\n" + hidden),
            "after a whole call": lambda hidden: (["Content-Length: 2"], b"{}" + hidden),
        }


class BehindNginx(Behind, unittest.TestCase):
    kind = Nginx
    shorter = {"proxy_read_timeout 25s": "proxy_read_timeout 2s"}
    allow_the_origin = {"# https://app.example.com": "https://app.example.com"}
    bare_cache_control = ["no-store"]

    def test_the_challenge_of_the_authenticator_is_passed_on(self):
        for answer, challenge in {
            "return 401;": CHALLENGE,
            "return 403;": CHALLENGE,
            "add_header WWW-Authenticate Bearer always; return 401;": "Bearer",
        }.items():
            with self.subTest(answer):
                gateway = self.in_front_of(SERVICE, {"include authenticator-stub.conf;": AUTHENTICATOR % answer})
                answer = send(gateway.address, request("DELETE", CONTACTS, KEY))
                self.assertEqual((answer.status, answer.header("WWW-Authenticate")), (401, challenge), answer)

    def test_the_actor_that_the_authenticator_names_is_passed_on(self):
        recorder = self.recorder(answers(1))
        names = f"add_header X-Requester-Id {RESELLER}; add_header X-Actor-Id jane; return 204;"
        gateway = self.in_front_of(recorder.address, {"include authenticator-stub.conf;": AUTHENTICATOR % names})
        send(gateway.address, request("DELETE", CONTACTS, KEY, "X-Actor-Id: forged", body=ids(str(uuid.uuid4()))))
        [arrived] = recorder.requests
        self.assertEqual(headers(arrived, "X-Actor-Id"), ["jane"])

    def test_a_body_that_is_stripped_on_the_way_deletes_nothing(self):
        strip = 'proxy_http_version 1.1;\nproxy_pass_request_body off;\nproxy_set_header Content-Length "";'
        gateway = self.in_front_of(SERVICE, {"proxy_http_version 1.1;": strip})
        contact = new_contact()
        before = sql("select count(*) from operation")
        for method, path in ("DELETE", CONTACTS), ("POST", f"{CONTACTS}:batchDelete"):
            answer = send(gateway.address, request(method, path, KEY, body=ids(contact)))
            self.assert_envelope(answer, 400, "BAD_REQUEST")
        self.assertTrue(is_live(contact))
        self.assertEqual(sql("select count(*) from operation"), before)


class BehindHAProxy(Behind, unittest.TestCase):
    kind = HAProxy
    shorter = {"timeout server 25s": "timeout server 2s"}
    allow_the_origin = {"# http-request set-var(txn.origin)": "http-request set-var(txn.origin)"}
    # Bytes that are not HTTP get an answer that is built into the gateway.
    bare_cache_control = ["no-store", "no-cache"]

    def test_a_deletion_under_a_key_is_sent_again(self):
        recorder = self.recorder(answers(0))
        gateway = self.in_front_of(recorder.address)
        call = request("DELETE", CONTACTS, KEY, "Idempotency-Key: once", body=ids(str(uuid.uuid4())))
        self.assert_envelope(send(gateway.address, call), 503, "GLOBAL_1001")
        self.assertEqual(len(recorder.requests), 3)
        self.assertEqual({tuple(headers(arrived, "Idempotency-Key")) for arrived in recorder.requests}, {("once",)})

    def test_it_keeps_to_the_connections_that_one_address_may_have(self):
        def answer_slowly(_):
            time.sleep(0.3)
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

        recorder = self.recorder(answer_slowly)
        gateway = self.in_front_of(recorder.address)
        call = request("GET", "/api/v3/global/call", KEY)
        clients = []
        # The last ones come while the connections of the first ones are idle.
        for count in 1100, 200:
            for _ in range(count):
                clients.append(socket.create_connection(gateway.address))
                clients[-1].sendall(call)
            for client in clients[-count:]:
                self.assertEqual(client.recv(12), b"HTTP/1.1 200")
        for client in clients:
            client.close()
        self.assertLess(recorder.most_open, OF_ONE_ADDRESS)


class WithoutAGateway(unittest.TestCase):
    def test_a_peer_that_is_not_the_gateway_is_not_believed(self):
        contact = new_contact()
        answer = send(SERVICE, request("DELETE", CONTACTS, FORGED, body=ids(contact)), source=("127.0.0.9", 0))
        self.assertEqual((answer.status, json.loads(answer.rest)["errorCode"]), (401, "UNAUTHORIZED"))
        self.assertTrue(is_live(contact))
        self.assertEqual(requesters(contact), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
