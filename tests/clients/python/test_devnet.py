"""The command line client against a devnet of four real validators.

    HOLDFAST=target/release/holdfast python -m unittest test_devnet
"""

import json
import os
from pathlib import Path
import re
import signal
import struct
import subprocess
import sys
import unittest

import blake3

CLIENT = Path(__file__).resolve().parent / "client.py"


def account_secret(number):
    """The secret of a devnet's account `user-<number>`: known to everybody, as a devnet is for throwing away."""
    label = b"devnet account"
    encoded = struct.pack("<I", len(label)) + label + struct.pack("<I", number)
    return blake3.blake3(encoded, derive_key_context="holdfast genesis v1").digest()


class Devnet(unittest.TestCase):
    def setUp(self):
        command = [os.environ["HOLDFAST"], "devnet", "--validators", "4", "--seconds", "120", "--tps", "0"]
        # The group gets the signal that a terminal would send.
        self.devnet = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.urls = []
        for line in self.devnet.stdout:
            if found := re.match(r"\s+v\d+\s+(http://\S+)", line):
                self.urls.append(found.group(1))
            if line.startswith("t="):
                break

    def tearDown(self):
        os.killpg(self.devnet.pid, signal.SIGINT)
        self.devnet.communicate(timeout=60)

    def run_client(self, *arguments):
        command = [sys.executable, str(CLIENT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_a_transfer_becomes_irreversible_and_every_validator_has_its_receipt(self):
        self.assertEqual(len(self.urls), 4)
        transfer = ["--from", "user-0", "--to", "user-1", "--amount", "250"]
        done = self.run_client("transfer", "--rpc", self.urls[0], "--secret", account_secret(0).hex(), *transfer)
        self.assertEqual(done.returncode, 0, done.stderr)
        receipt = json.loads(done.stdout)
        self.assertEqual((receipt["status"], receipt["finality"]), ("success", "irreversible"))
        # The next nonce goes through another validator.
        done = self.run_client("transfer", "--rpc", self.urls[3], "--secret", account_secret(0).hex(), *transfer)
        self.assertEqual(done.returncode, 0, done.stderr)
        wrong = self.run_client("transfer", "--rpc", self.urls[1], "--secret", account_secret(1).hex(), *transfer)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("key", wrong.stderr)
        found = self.run_client("receipt", "--rpc", self.urls[0], "--id", receipt["transaction_id"])
        self.assertEqual(found.returncode, 0, found.stderr)


if __name__ == "__main__":
    unittest.main()
