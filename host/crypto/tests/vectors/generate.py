#!/usr/bin/env python3
"""A second implementation of docs/ciphertext.md, on Python's `cryptography` (>= 42).

Prints keyward.json. The Rust tests pin that file: the format may gain suites, never drift.

    python3 generate.py | diff keyward.json -
"""

import base64
import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode

SUITES = {"xaes-256-gcm": 1, "aes-256-gcm": 2, "aes-256-siv": 3}
CHANNELS = {"payload": 1, "policy": 2}


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def subkey(secret, label, length=32):
    return HKDF(SHA256(), length, b"keyward/v1", label).derive(secret)


def lp(part):
    return struct.pack(">I", len(part)) + part


def xaes(key, nonce, aad, plaintext):
    kdf = KBKDFCMAC(AES, Mode.CounterMode, 32, 2, None, CounterLocation.BeforeFixed,
                    None, None, b"X\0" + nonce[:12])
    return AESGCM(kdf.derive(key)).encrypt(nonce[12:], plaintext, aad)


def committing(secret, prefix, nonce, aad, plaintext):
    commitment = mac(subkey(secret, prefix + b"/commitment"), nonce)
    return nonce + commitment + xaes(subkey(secret, prefix + b"/encryption"), nonce, aad, plaintext)


def seal(v):
    secret, plaintext, nonce = (bytes.fromhex(v[k]) for k in ("material", "plaintext", "nonce"))
    header = struct.pack(">BBQI", 1, SUITES[v["suite"]], int(v["key_id"], 16), v["key_version"])
    aad = (b"keyward aad v1\0" + header + bytes([CHANNELS[v["channel"]]])
           + lp(v["tenant"].encode()) + lp(v["key_name"].encode())
           + lp(bytes.fromhex(v["policy_data"])) + lp(bytes.fromhex(v["context"])))
    if v["suite"] == "xaes-256-gcm":
        body = committing(secret, b"xaes-256-gcm", nonce, aad, plaintext)
    elif v["suite"] == "aes-256-gcm":
        key = subkey(secret, b"aes-256-gcm/encryption")
        body = nonce + AESGCM(key).encrypt(nonce, plaintext, aad)
    else:
        body = AESSIV(subkey(secret, b"aes-256-siv/encryption", 64)).encrypt(plaintext, [aad])
    ciphertext = header + body
    text = "kw1." + base64.urlsafe_b64encode(ciphertext).decode().rstrip("=")
    return v | {"aad": aad.hex(), "ciphertext": ciphertext.hex(), "text": text}


def main():
    material = bytes(range(32))
    nonces = {"xaes-256-gcm": b"ABCDEFGHIJKLMNOPQRSTUVWX", "aes-256-gcm": b"ABCDEFGHIJKL",
              "aes-256-siv": b""}
    ciphertexts = [
        seal({"suite": suite, "material": material.hex(), "key_id": "0123456789abcdef",
              "key_version": 3, "channel": channel, "tenant": "acme", "key_name": "orders",
              "policy_data": policy_data.hex(), "context": b"order 17".hex(),
              "nonce": nonces[suite].hex(), "plaintext": b"4111 1111 1111 1111".hex()})
        for suite in SUITES
        for channel, policy_data in (("payload", b""), ("policy", b"purpose=billing"))
    ]
    nonce, aad, plaintext = nonces["xaes-256-gcm"], b"tenants/acme", b"sealed at rest"
    at_rest = b"\1" + committing(material, b"at-rest", nonce, b"keyward at rest v1\0" + aad, plaintext)
    macs = {"material": material.hex(), "data": b"what is authenticated".hex(),
            "tag": mac(subkey(material, b"hmac-sha-256/mac"), b"what is authenticated").hex(),
            "label": "email", "value": b"a@example.com".hex(),
            "term": mac(subkey(material, b"hmac-sha-256/index"), lp(b"email"), b"a@example.com").hex()}
    print(json.dumps({
        "ciphertexts": ciphertexts,
        "macs": macs,
        "at_rest": {"root_key": material.hex(), "aad": aad.hex(), "nonce": nonce.hex(),
                    "plaintext": plaintext.hex(), "sealed": at_rest.hex(),
                    "derive_info": b"artefacts".hex(),
                    "derived": subkey(material, b"derived-root/artefacts").hex()},
    }, indent=1))


main()
