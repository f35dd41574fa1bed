"""A codec server: encrypts the values that workers and children send to Temporal, and decrypts those that they read.

    CODEC_KEY=64-hexadecimal-digits python3 codec_server.py 8081

The protocol is that of Temporal's remote codecs: POST .../encode and POST .../decode, each with the JSON of a Payloads.
It has no dependencies, so it builds its cipher from HMAC-SHA256: a key stream of HMACs over a counter, then a tag over
the ciphertext. In production, use AES-GCM of a cryptographic library, TLS, and an access check of each request.
"""

import hmac
import json
import os
import sys
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENCODING = "binary/encrypted"
NONCE_SIZE = TAG_SIZE = 32


def derived(key, *parts):
    return hmac.digest(key, b"".join(parts), "sha256")


class Cipher:
    def __init__(self, key):
        self.stream_key, self.tag_key = derived(key, b"stream"), derived(key, b"tag")

    def encrypt(self, data):
        nonce = os.urandom(NONCE_SIZE)
        sealed = nonce + self.xor(nonce, data)
        return sealed + derived(self.tag_key, sealed)

    def decrypt(self, data):
        sealed, tag = data[:-TAG_SIZE], data[-TAG_SIZE:]
        if not hmac.compare_digest(tag, derived(self.tag_key, sealed)):
            raise ValueError("the value was encrypted with another key, or it was changed")
        return self.xor(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:])

    def xor(self, nonce, data):
        blocks = range(-(-len(data) // 32))
        stream = b"".join(derived(self.stream_key, nonce, block.to_bytes(8, "big")) for block in blocks)
        mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")
        return mixed.to_bytes(len(data), "big")


class Codec(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open
    cipher = Cipher(bytes.fromhex(os.environ["CODEC_KEY"]))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            convert = {"encode": self.encode, "decode": self.decode}[self.path.rpartition("/")[2]]
            payloads = [convert(payload) for payload in json.loads(body).get("payloads", [])]
        except (KeyError, ValueError) as error:
            self.answer(400, {"message": str(error)})
        else:
            self.answer(200, {"payloads": payloads})

    def encode(self, payload):
        sealed = self.cipher.encrypt(json.dumps(payload).encode())
        return {"metadata": {"encoding": b64encode(ENCODING.encode()).decode()}, "data": b64encode(sealed).decode()}

    def decode(self, payload):
        encoding = payload.get("metadata", {}).get("encoding", "")
        if b64decode(encoding).decode() != ENCODING:
            return payload
        return json.loads(self.cipher.decrypt(b64decode(payload["data"])))

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Prints nothing: a log must not show values."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Codec).serve_forever()
