#!/usr/bin/env python3
"""Ciphertexts to public keys and signatures, made by Python's `cryptography` (>= 48).

Prints public.json. Both are random, so another run prints another file; the Rust tests open and
verify the pinned one.
"""

import hashlib
import json
import os
import struct

from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat)

MATERIAL = bytes(range(64))
RAW = (Encoding.Raw, PublicFormat.Raw)
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
# SubjectPublicKeyInfo of X-Wing (OID 1.3.6.1.4.1.62253.25722), which `cryptography` does not write.
X_WING_SPKI = bytes.fromhex("308204d4300d060b2b0601040183e62d81c87a038204c100")


def lp(part):
    return struct.pack(">I", len(part)) + part


def binding(suite):
    header = struct.pack(">BBQI", 1, suite, 0x0123456789ABCDEF, 3)
    return header, b"keyward aad v1\0" + header + b"\1" + lp(b"acme") + lp(b"orders") + lp(b"") + lp(b"order 17")


def sealed_to_rsa():
    private = rsa.generate_private_key(65537, 2048)
    header, aad = binding(0x15)
    key = os.urandom(32)
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    body = private.public_key().encrypt(key, oaep) + AESGCM(key).encrypt(bytes(12), b"4111 1111 1111 1111", aad)
    return {"algorithm": "rsa-oaep-2048", "public_key": private.public_key().public_bytes(*SPKI).hex(),
            "material": private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex(),
            "ciphertext": (header + body).hex()}


def sealed(algorithm, suite, kem, private, public):
    header, aad = binding(suite)
    sender = hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    body = sender.encrypt(b"4111 1111 1111 1111", private.public_key(), aad)
    return {"algorithm": algorithm, "public_key": public.hex(), "ciphertext": (header + body).hex()}


def main():
    x25519 = X25519PrivateKey.from_private_bytes(MATERIAL[:32])
    ml_kem = MLKEM768PrivateKey.from_seed_bytes(MATERIAL)
    # X-Wing (draft-connolly-cfrg-xwing-kem): both private keys come from one seed of 32 bytes.
    expanded = hashlib.shake_256(MATERIAL[:32]).digest(96)
    parts = MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
    x_wing = hpke.MLKEM768X25519PrivateKey(*parts)
    x_wing_public = X_WING_SPKI + b"".join(part.public_key().public_bytes(*RAW) for part in parts)
    ciphertexts = [
        sealed("x25519", 0x12, hpke.KEM.X25519, x25519, x25519.public_key().public_bytes(*SPKI)),
        sealed("ml-kem-768", 0x13, hpke.KEM.MLKEM768, ml_kem, ml_kem.public_key().public_bytes(*SPKI)),
        sealed("x25519-ml-kem-768", 0x14, hpke.KEM.MLKEM768_X25519, x_wing, x_wing_public),
        sealed_to_rsa(),
    ]
    ml_dsa = MLDSA65PrivateKey.from_seed_bytes(MATERIAL[:32])
    signature = {"algorithm": "ml-dsa-65", "input": b"what is signed".hex(),
                 "public_key": ml_dsa.public_key().public_bytes(*RAW).hex(),
                 "signature": ml_dsa.sign(b"what is signed").hex()}
    print(json.dumps({"ciphertexts": ciphertexts, "signatures": [signature]}, indent=1))


main()
