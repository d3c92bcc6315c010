"""Holdfast transactions, written from docs/transactions.md alone: encode, sign, decode, verify."""

from dataclasses import dataclass
import re
import struct

from blake3 import blake3
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

CONTEXT = "holdfast transaction v1"
TRANSACTION_BYTES_MAX = 65_536
FIELD_BYTES_MAX = 256
NAME_RULE = re.compile(rb"[a-z](?:[a-z0-9.-]{0,22}[a-z0-9])?")

# Kind of every action by its tag, with the types of its fields in their order.
ACTIONS = [
    ("transfer", [("to", "name"), ("amount", "u64"), ("memo", "bytes")]),
    ("create_account", [("name", "name"), ("key", "key"), ("balance", "u64")]),
    ("update_key", [("key", "key")]),
    ("register_validator", [("signing_key", "option key"), ("url", "bytes")]),
    ("update_validator", [("signing_key", "option key"), ("url", "bytes")]),
    ("stake", [("validator", "name"), ("amount", "u64")]),
    ("unstake", [("validator", "name"), ("amount", "u64")]),
    ("vote_properties", [("transaction_fee", "u64"), ("byte_fee", "u64"), ("account_creation_fee", "u64")]),
    ("vote_hardfork", [("version", "u32")]),
]
BODY = [
    ("sender", "name"),
    ("public_key", "key"),
    ("nonce", "u64"),
    ("fee_max", "u64"),
    ("expires_at", "option u64"),
    ("action", "action"),
]
FIXED_BYTES = {"key": 32, "signature": 64}
NUMBERS = {"u8": "<B", "u32": "<I", "u64": "<Q"}


class Refused(ValueError):
    """The bytes are no valid transaction; `refusal` is the name of the reason in the vectors."""

    def __init__(self, refusal, message):
        super().__init__(f"{refusal}: {message}")
        self.refusal = refusal


@dataclass
class Signed:
    """A signed transaction and what it is made of."""

    body: bytes
    id: bytes
    signature: bytes

    @property
    def transaction(self):
        return self.body + self.signature


def encode(kind, value):
    """The bytes of a value: numbers are ints, names text, keys and bytes are bytes, a none is None."""
    if kind.startswith("option "):
        return b"\0" if value is None else b"\1" + encode(kind.removeprefix("option "), value)
    if kind in NUMBERS:
        return struct.pack(NUMBERS[kind], value)
    if kind in FIXED_BYTES:
        if len(value) != FIXED_BYTES[kind]:
            raise ValueError(f"a {kind} has {FIXED_BYTES[kind]} bytes, not {len(value)}")
        return bytes(value)
    if kind == "name":
        name = value.encode()
        if not NAME_RULE.fullmatch(name):
            raise ValueError(f"{value!r} is no account name")
        return encode("u8", len(name)) + name
    if kind == "bytes":
        return encode("u32", len(value)) + bytes(value)
    if kind == "action":
        tag = [name for name, _ in ACTIONS].index(value["kind"])
        return encode("u8", tag) + encode_fields(ACTIONS[tag][1], value)
    raise ValueError(f"unknown type {kind}")


def encode_fields(fields, values):
    return b"".join(encode(kind, values[name]) for name, kind in fields)


def transaction_id(chain_id, body):
    return blake3(chain_id + body, derive_key_context=CONTEXT).digest()


def sign(chain_id, secret_key, fields):
    """Signs a transaction. The public key in `fields` may be left out."""
    signing_key = SigningKey(secret_key)
    body = encode_fields(BODY, {"public_key": bytes(signing_key.verify_key), **fields})
    identity = transaction_id(chain_id, body)
    return Signed(body, identity, signing_key.sign(identity).signature)


class Reader:
    """Takes values off the front of a byte string."""

    def __init__(self, data):
        self.data = data
        self.position = 0

    def take(self, count):
        piece = self.data[self.position : self.position + count]
        if len(piece) != count:
            raise Refused("malformed", "the bytes end too early")
        self.position += count
        return piece

    def read(self, kind):
        if kind.startswith("option "):
            tag = self.read("u8")
            if tag > 1:
                raise Refused("malformed", f"{tag} is no option tag")
            return self.read(kind.removeprefix("option ")) if tag else None
        if kind in NUMBERS:
            return struct.unpack(NUMBERS[kind], self.take(struct.calcsize(NUMBERS[kind])))[0]
        if kind in FIXED_BYTES:
            return self.take(FIXED_BYTES[kind])
        if kind == "name":
            name = self.take(self.read("u8"))
            if not NAME_RULE.fullmatch(name):
                raise Refused("malformed", f"{name!r} is no account name")
            return name.decode()
        if kind == "bytes":
            return self.take(self.read("u32"))
        if kind == "action":
            tag = self.read("u8")
            if tag >= len(ACTIONS):
                raise Refused("malformed", f"there is no action {tag}")
            name, fields = ACTIONS[tag]
            return {"kind": name, **self.read_fields(fields)}
        raise ValueError(f"unknown type {kind}")

    def read_fields(self, fields):
        return {name: self.read(kind) for name, kind in fields}


def decode(chain_id, data):
    """The fields of a transaction, if it is one and its signature verifies."""
    if len(data) > TRANSACTION_BYTES_MAX:
        raise Refused("malformed", "longer than any transaction")
    reader = Reader(data)
    fields = reader.read_fields(BODY)
    body = data[: reader.position]
    signature = reader.read("signature")
    if reader.position != len(data):
        raise Refused("malformed", "trailing bytes")
    for name in ("memo", "url"):
        if len(fields["action"].get(name, b"")) > FIELD_BYTES_MAX:
            raise Refused("field_too_long", name)
    try:
        VerifyKey(fields["public_key"]).verify(transaction_id(chain_id, body), signature)
    except BadSignatureError as error:
        raise Refused("bad_signature", "it does not verify") from error
    return fields
