"""What the host is to do."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._contract import types

__all__ = ["Algorithm", "Plan"]

Algorithm = types.Algorithm


@dataclass(frozen=True)
class Plan:
    """What the host is to do: for encrypt and decrypt it executes the plan on the payload, which
    never enters the policy. Each method returns a new plan."""

    key: str | None = None
    version: int | None = None
    suite: Algorithm | None = None
    authenticated_data: bytes = b""
    obligations: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def allow() -> Plan:
        """Does what the request asks for, with the key it names."""
        return Plan()

    def with_key(self, name: str) -> Plan:
        """Uses this key instead of the one the request names."""
        return replace(self, key=name)

    def with_version(self, version: int) -> Plan:
        """Encrypts with this version; decrypts nothing but this version."""
        return replace(self, version=version)

    def with_suite(self, suite: Algorithm) -> Plan:
        """Encrypts with this AEAD of the key's family."""
        return replace(self, suite=suite)

    def bind(self, data: str | bytes) -> Plan:
        """Binds one more piece of data: what was encrypted with it opens only with it. Every piece
        is stored behind its length (32 bits, big-endian), so that no two lists of pieces look the
        same."""
        piece = data.encode() if isinstance(data, str) else bytes(data)
        bound = self.authenticated_data + len(piece).to_bytes(4, "big") + piece
        return replace(self, authenticated_data=bound)

    def max_bytes(self, limit: int) -> Plan:
        """Refuses a plaintext or ciphertext longer than this."""
        return self._obliged("max-bytes", str(limit))

    def note(self, remark: str) -> Plan:
        """Records a remark of up to 256 bytes with the outcome. Never put payloads into it."""
        return self._obliged("note", remark)

    def _obliged(self, name: str, value: str) -> Plan:
        return replace(self, obligations=(*self.obligations, (name, value)))

    def to_wire(self) -> types.Plan:
        """The contract's form of it."""
        obligations = [types.Obligation(name, value) for name, value in self.obligations]
        return types.Plan(self.key, self.version, self.suite, self.authenticated_data, obligations)
