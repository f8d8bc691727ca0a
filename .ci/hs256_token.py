"""Prints a token for a requester, signed with the bytes of a file: hs256_token.py <secret file> <requester>"""

import base64
import hashlib
import hmac
import json
import sys
import time


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


secret_file, requester = sys.argv[1:]
header = {"alg": "HS256", "typ": "JWT"}
claims = {"customer_id": requester, "exp": int(time.time()) + 3600}
signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
with open(secret_file, "rb") as file:
    signature = hmac.new(file.read(), signed.encode(), hashlib.sha256).digest()
print(f"{signed}.{encode(signature)}")
