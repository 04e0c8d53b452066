#!/usr/bin/env python3
"""A second implementation of docs/ciphertext.md, on Python's `cryptography` (>= 44).

Prints keyward.json. The Rust tests pin that file: the format may gain suites, never drift.

    python3 generate.py | diff keyward.json -
"""

import base64
import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV, AESSIV, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC, CounterLocation, Mode

SUITES = {"xaes-256-gcm": 1, "aes-256-gcm": 2, "aes-256-siv": 3, "aes-256-gcm-siv": 4,
          "chacha20-poly1305": 5, "xchacha20-poly1305": 6}
AEADS = {"aes-256-gcm": AESGCM, "aes-256-gcm-siv": AESGCMSIV, "chacha20-poly1305": ChaCha20Poly1305}
CHANNELS = {"payload": 1, "policy": 2}


def mac(key, *parts, hash=hashlib.sha256):
    return hmac.new(key, b"".join(parts), hash).digest()


def subkey(secret, label, length=32):
    return HKDF(SHA256(), length, b"keyward/v1", label).derive(secret)


def lp(part):
    return struct.pack(">I", len(part)) + part


def xaes(key, nonce, aad, plaintext):
    kdf = KBKDFCMAC(AES, Mode.CounterMode, 32, 2, None, CounterLocation.BeforeFixed,
                    None, None, b"X\0" + nonce[:12])
    return AESGCM(kdf.derive(key)).encrypt(nonce[12:], plaintext, aad)


def hchacha20(key, nonce):
    """The keystream's first block less what the last step of ChaCha20 added."""
    stream = Cipher(ChaCha20(key, nonce), None).encryptor().update(bytes(64))
    words, start = struct.unpack("<16I", stream), b"expand 32-byte k" + key + nonce
    added = struct.unpack("<16I", start)
    out = [(w - a) & 0xFFFFFFFF for w, a in zip(words, added)]
    return struct.pack("<8I", *out[:4], *out[12:])


def xchacha(key, nonce, aad, plaintext):
    inner = ChaCha20Poly1305(hchacha20(key, nonce[:16]))
    return inner.encrypt(bytes(4) + nonce[16:], plaintext, aad)


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
    elif v["suite"] in AEADS:
        key = subkey(secret, v["suite"].encode() + b"/encryption")
        body = nonce + AEADS[v["suite"]](key).encrypt(nonce, plaintext, aad)
    elif v["suite"] == "xchacha20-poly1305":
        body = nonce + xchacha(subkey(secret, b"xchacha20-poly1305/encryption"), nonce, aad, plaintext)
    else:
        body = AESSIV(subkey(secret, b"aes-256-siv/encryption", 64)).encrypt(plaintext, [aad])
    ciphertext = header + body
    text = "kw1." + base64.urlsafe_b64encode(ciphertext).decode().rstrip("=")
    return v | {"aad": aad.hex(), "ciphertext": ciphertext.hex(), "text": text}


def stream(v):
    """The whole stream; chunks of 64 KiB."""
    plaintext, salt = bytes.fromhex(v["plaintext"]) * v["repeat"], bytes.fromhex(v["salt"])
    header = struct.pack(">BBQI", 1, 0x21, int(v["key_id"], 16), v["key_version"])
    aad = (b"keyward aad v1\0" + header + bytes([CHANNELS[v["channel"]]])
           + lp(v["tenant"].encode()) + lp(v["key_name"].encode())
           + lp(bytes.fromhex(v["policy_data"])) + lp(bytes.fromhex(v["context"])))
    secret = subkey(bytes.fromhex(v["material"]), b"stream/aes-256-gcm")
    okm = HKDF(SHA256(), 64, salt, aad).derive(secret)
    chunks = [plaintext[i:i + 65536] for i in range(0, len(plaintext), 65536)] or [b""]
    out = header + salt + mac(okm[32:], salt)
    for i, chunk in enumerate(chunks):
        nonce = bytes(7) + struct.pack(">IB", i, i == len(chunks) - 1)
        out += AESGCM(okm[:32]).encrypt(nonce, chunk, None)
    found = {"sha256": hashlib.sha256(out).hexdigest()}
    return v | found | ({"stream": out.hex()} if len(out) < 1000 else {})


def main():
    material = bytes(range(32))
    lengths = {"xaes-256-gcm": 24, "xchacha20-poly1305": 24, "aes-256-siv": 0}
    nonces = {suite: b"ABCDEFGHIJKLMNOPQRSTUVWX"[:lengths.get(suite, 12)] for suite in SUITES}
    ciphertexts = [
        seal({"suite": suite, "material": material.hex(), "key_id": "0123456789abcdef",
              "key_version": 3, "channel": channel, "tenant": "acme", "key_name": "orders",
              "policy_data": policy_data.hex(), "context": b"order 17".hex(),
              "nonce": nonces[suite].hex(), "plaintext": b"4111 1111 1111 1111".hex()})
        for suite in SUITES
        for channel, policy_data in (("payload", b""), ("policy", b"purpose=billing"))
    ]
    streams = [
        stream({"material": material.hex(), "key_id": "0123456789abcdef", "key_version": 3,
                "channel": "payload", "tenant": "acme", "key_name": "orders", "policy_data": "",
                "context": b"order 17".hex(), "salt": bytes(range(64, 96)).hex(),
                "plaintext": b"4111 1111 1111 1111".hex(), "repeat": repeat})
        for repeat in (1, 0, 10_000)
    ]
    nonce, aad, plaintext = nonces["xaes-256-gcm"], b"tenants/acme", b"sealed at rest"
    at_rest = b"\1" + committing(material, b"at-rest", nonce, b"keyward at rest v1\0" + aad, plaintext)
    hashes = {"hmac-sha-384": hashlib.sha384, "hmac-sha-512": hashlib.sha512}
    more_macs = [
        {"algorithm": name,
         "tag": mac(subkey(material, name.encode() + b"/mac", hash().digest_size),
                    b"what is authenticated", hash=hash).hex(),
         "term": mac(subkey(material, name.encode() + b"/index"), lp(b"email"), b"a@example.com").hex()}
        for name, hash in hashes.items()
    ]
    derived = HKDF(SHA256(), 42, b"keyward/v1", b"for the archive").derive(subkey(material, b"derivation"))
    macs = {"material": material.hex(), "data": b"what is authenticated".hex(),
            "tag": mac(subkey(material, b"hmac-sha-256/mac"), b"what is authenticated").hex(),
            "label": "email", "value": b"a@example.com".hex(),
            "term": mac(subkey(material, b"hmac-sha-256/index"), lp(b"email"), b"a@example.com").hex()}
    print(json.dumps({
        "ciphertexts": ciphertexts,
        "streams": streams,
        "macs": macs,
        "more_macs": more_macs,
        "derived": {"info": b"for the archive".hex(), "out": derived.hex()},
        "at_rest": {"root_key": material.hex(), "aad": aad.hex(), "nonce": nonce.hex(),
                    "plaintext": plaintext.hex(), "sealed": at_rest.hex(),
                    "derive_info": b"artefacts".hex(),
                    "derived": subkey(material, b"derived-root/artefacts").hex()},
    }, indent=1))


main()
