"""Calls a service that has the demo's world with the generated client.

client_tests.py <address> <requester> <contact of another customer>
"""

import sys
from uuid import UUID, uuid4

from generated_client import AuthenticatedClient
from generated_client.api.address import batch_delete_address
from generated_client.api.call import get_call_details, get_call_status, list_calls
from generated_client.api.contact import batch_delete_contact, delete_contact
from generated_client.models import CallStatus, Failure, IdList, Problem

ADDRESS, REQUESTER, FOREIGN_CONTACT = sys.argv[1:]
SUB_CUSTOMER = UUID("a91d4e60-38fb-4c72-b5d9-1e07f2c6a843")
CONTACT = UUID("3c8e71f5-90a2-4b6d-8e34-7f15d2a6c098")
OTHER_CONTACT = UUID("d26f0b8a-4c17-4935-a7e8-05b9c3f1e76d")
ADDRESSES = [UUID("b7e2093f-5c84-4a16-9d70-e81f6b4c2d95"), UUID("0d95f8a7-2e6b-4c31-8fa4-36c7d1b9e052")]


def require_equal(found, expected):
    if found != expected:
        sys.exit(f"expected {expected}, but found {found}")


def client_of(requester):
    return AuthenticatedClient(ADDRESS, token=requester, prefix="", auth_header_name="X-Requester-Id")


def refused(answer, status, code):
    require_equal((answer.status_code, type(answer.parsed)), (status, Failure))
    require_equal((answer.parsed.error_code, answer.parsed.content), (code, ""))
    print(f"{status} {code}: {answer.parsed.error_message}")


client = client_of(REQUESTER)

deleted = delete_contact.sync_detailed(SUB_CUSTOMER, CONTACT, client=client)
require_equal((deleted.status_code, deleted.parsed.error_code), (200, ""))
request_id = deleted.parsed.content[0].request_id
status = get_call_status.sync(request_id, client=client)
require_equal(status.content[0].status, CallStatus.SUCCESS)
print(f"deleted by {request_id}, which is {status.content[0].status}")

again = delete_contact.sync_detailed(SUB_CUSTOMER, CONTACT, client=client)
refused(again, 404, "CUSTOMER_1017")
details = get_call_details.sync(UUID(again.headers["Request-Id"]), client=client).content[0]
require_equal((details.status, details.error_code), (CallStatus.FAILURE, "CUSTOMER_1017"))
require_equal(details.failed_ids, [CONTACT])

accepted = batch_delete_address.sync_detailed(SUB_CUSTOMER, client=client, body=IdList(ADDRESSES), prefer="respond-async")
require_equal((accepted.status_code, type(accepted.parsed)), (202, type(deleted.parsed)))

listed = list_calls.sync(client=client, status=CallStatus.FAILURE)
require_equal([call.request_id for call in listed.content][0], details.request_id)

found = list_calls.sync(client=client, target_id=CONTACT, customer_id=SUB_CUSTOMER)
require_equal([call.request_id for call in found.content], [request_id])
first = list_calls.sync(client=client, size=1)
second = list_calls.sync(client=client, size=1, page_token=first.pageable.next_page_token)
require_equal(second.pageable.page, 1)
deletion = get_call_details.sync(request_id, client=client).content[0]
require_equal((deletion.deleted_rows, deletion.attempts, deletion.restored_at), (1, 0, None))

refused(delete_contact.sync_detailed(SUB_CUSTOMER, CONTACT, client=client_of(str(uuid4()))), 404, "CUSTOMER_1002")
refused(delete_contact.sync_detailed(SUB_CUSTOMER, CONTACT, client=client_of("nobody")), 401, "UNAUTHORIZED")
refused(get_call_status.sync_detailed(uuid4(), client=client), 404, "GLOBAL_1003")

# Which ids are refused: in the status of the call, in a problem, and in a validation.
unknown, foreign = uuid4(), UUID(FOREIGN_CONTACT)
ids = IdList([unknown, OTHER_CONTACT, foreign])
list_call = batch_delete_contact.sync_detailed(SUB_CUSTOMER, client=client, body=ids)
refused(list_call, 404, "CUSTOMER_1017")
failures = get_call_details.sync(UUID(list_call.headers["Request-Id"]), client=client).content[0].failures
codes = {failure.id: failure.error_code for failure in failures}
require_equal(codes, {unknown: "CUSTOMER_1017", foreign: "AUTH_1010"})
for query in ("", "?validateOnly=true"):
    answer = client.get_httpx_client().post(
        f"/api/v2/customer/{SUB_CUSTOMER}/contact:batchDelete{query}",
        json=ids.to_dict(),
        headers={"Accept": "application/problem+json"},
    )
    require_equal((answer.status_code, answer.headers["Content-Type"]), (404, "application/problem+json"))
    problem = Problem.from_dict(answer.json())
    require_equal((problem.status, problem.error_code, problem.failures), (404, "CUSTOMER_1017", failures))
    print(f"{answer.status_code} {problem.type_}: {len(problem.failures)} failures")
validated = batch_delete_contact.sync_detailed(SUB_CUSTOMER, client=client, body=ids, validate_only=True)
refused(validated, 404, "CUSTOMER_1017")
