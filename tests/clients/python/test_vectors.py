"""Every vector of tests/vectors/transactions.json, both ways."""

import json
from pathlib import Path
import unittest

import transactions

FILE = Path(__file__).resolve().parents[2] / "vectors" / "transactions.json"
VECTORS = json.loads(FILE.read_text())
BYTE_FIELDS = {"public_key", "memo", "url", "key", "signing_key"}
NAME_FIELDS = {"sender", "kind", "to", "name", "validator"}


def parsed(fields):
    """The fields of a vector as Python values."""

    def value(name, text):
        if text is None or name in NAME_FIELDS:
            return text
        if name in BYTE_FIELDS:
            return bytes.fromhex(text)
        return int(text)

    return {name: parsed(text) if name == "action" else value(name, text) for name, text in fields.items()}


class Vectors(unittest.TestCase):
    def test_there_are_vectors_of_every_action(self):
        kinds = {vector["fields"]["action"]["kind"] for vector in VECTORS["valid"]}
        self.assertEqual(kinds, {kind for kind, _ in transactions.ACTIONS})
        refusals = {vector["refusal"] for vector in VECTORS["invalid"]}
        self.assertEqual(refusals, {"malformed", "field_too_long", "bad_signature"})

    def test_the_context_is_the_documented_one(self):
        self.assertEqual(VECTORS["context"], transactions.CONTEXT)

    def test_signing_gives_the_same_bytes(self):
        for vector in VECTORS["valid"]:
            with self.subTest(vector["name"]):
                chain_id = bytes.fromhex(vector["chain_id"])
                fields = parsed(vector["fields"])
                signed = transactions.sign(chain_id, bytes.fromhex(vector["secret_key"]), fields)
                self.assertEqual(signed.body.hex(), vector["body"])
                self.assertEqual(signed.id.hex(), vector["id"])
                self.assertEqual(signed.signature.hex(), vector["signature"])
                self.assertEqual(signed.transaction.hex(), vector["transaction"])
                del fields["public_key"]
                again = transactions.sign(chain_id, bytes.fromhex(vector["secret_key"]), fields)
                self.assertEqual(again, signed)

    def test_decoding_gives_the_same_fields(self):
        for vector in VECTORS["valid"]:
            with self.subTest(vector["name"]):
                data = bytes.fromhex(vector["transaction"])
                decoded = transactions.decode(bytes.fromhex(vector["chain_id"]), data)
                self.assertEqual(decoded, parsed(vector["fields"]))

    def test_invalid_transactions_are_refused_for_the_documented_reason(self):
        for vector in VECTORS["invalid"]:
            with self.subTest(vector["name"]):
                data = bytes.fromhex(vector["transaction"])
                with self.assertRaises(transactions.Refused) as caught:
                    transactions.decode(bytes.fromhex(vector["chain_id"]), data)
                self.assertEqual(caught.exception.refusal, vector["refusal"])

    def test_names_that_break_the_rule_are_not_encoded(self):
        for name in ["", "A", "1a", "a-", "-a", "a_b", "a" * 25, "ä", "a\n"]:
            with self.subTest(name), self.assertRaises(ValueError):
                transactions.encode("name", name)


if __name__ == "__main__":
    unittest.main()
