"""The command line client against a node that is played by the test."""

from http.server import BaseHTTPRequestHandler, HTTPServer
import json
from pathlib import Path
import subprocess
import sys
import threading
import unittest

import transactions

CHAIN_ID = bytes([7]) * 32
SECRET = bytes([3]) * 32
CLIENT = Path(__file__).resolve().parent / "client.py"


class PlayedNode(BaseHTTPRequestHandler):
    """Knows alice with nonce 5; executes what it is sent with success, or fails it if the amount is 13."""

    sent = None

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        reply |= getattr(self, request["method"])(**request["params"])
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def node_getInfo(self):
        return {"result": {"chain_id": CHAIN_ID.hex()}}

    def chain_getAccount(self, name):
        return {"result": {"name": name, "nonce": "5", "balance": "99"} if name == "alice" else None}

    def chain_sendTransaction(self, transaction, options):
        data = bytes.fromhex(transaction)
        try:
            fields = transactions.decode(CHAIN_ID, data)
        except transactions.Refused as refused:
            data = {"code_name": "TX_REJECTED", "reason": refused.refusal}
            return {"error": {"code": -32056, "message": str(refused), "data": data}}
        identity = transactions.transaction_id(CHAIN_ID, data[:-64]).hex()
        status = "failed" if fields["action"]["amount"] == 13 else "success"
        PlayedNode.sent = {"id": identity, "fields": fields, "status": status}
        result = {"transaction_id": identity, "finality": options["wait"], "timed_out": False, "receipt": None}
        return {"result": result}

    def chain_getReceipt(self, id):
        if not PlayedNode.sent or PlayedNode.sent["id"] != id:
            return {"result": None}
        result = {"transaction_id": id, "status": PlayedNode.sent["status"], "finality": "irreversible"}
        return {"result": result}

    def log_message(self, *_):
        pass


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = HTTPServer(("127.0.0.1", 0), PlayedNode)
        cls.url = f"http://127.0.0.1:{cls.server.server_port}/"
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def run_client(self, *arguments):
        command = [sys.executable, str(CLIENT), *arguments, "--rpc", self.url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def transfer(self, sender="alice", amount="250"):
        secret = SECRET.hex()
        return self.run_client(
            "transfer", "--secret", secret, "--from", sender, "--to", "bob", "--amount", amount, "--memo", "rent"
        )

    def test_a_transfer_is_sent_with_the_next_nonce_and_its_receipt_shown(self):
        done = self.transfer()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["status"], "success")
        fields = PlayedNode.sent["fields"]
        self.assertEqual((fields["sender"], fields["nonce"]), ("alice", 5))
        self.assertEqual(fields["action"], {"kind": "transfer", "to": "bob", "amount": 250, "memo": b"rent"})
        receipt = self.run_client("receipt", "--id", PlayedNode.sent["id"])
        self.assertEqual(receipt.returncode, 0, receipt.stderr)

    def test_a_failed_transfer_is_no_success(self):
        done = self.transfer(amount="13")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["status"], "failed")

    def test_an_unknown_sender_and_an_unknown_receipt_are_no_success(self):
        done = self.transfer(sender="nobody")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no account nobody", done.stderr)
        self.assertEqual(self.run_client("receipt", "--id", "00" * 32).returncode, 1)


if __name__ == "__main__":
    unittest.main()
