"""JSON-RPC 2.0 over HTTP, as far as sending transactions needs it."""

import itertools
import json
import urllib.request

REPLY_TIMEOUT_SECONDS = 60


class RpcError(RuntimeError):
    """The node answered with an error."""

    def __init__(self, method, error):
        name = (error.get("data") or {}).get("code_name", "")
        super().__init__(f"{method}: {error['code']} {name}: {error['message']}")
        self.error = error


class Node:
    """A node's public interface."""

    def __init__(self, url):
        self.url = url
        self.numbers = itertools.count(1)

    def call(self, method, **params):
        number = next(self.numbers)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        http_request = urllib.request.Request(
            self.url, json.dumps(request).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(http_request, timeout=REPLY_TIMEOUT_SECONDS) as response:
            reply = json.load(response)
        if reply.get("id") != number:
            raise RuntimeError(f"{method}: the reply is not to this request: {reply}")
        if "error" in reply:
            raise RpcError(method, reply["error"])
        return reply["result"]

    def chain_id(self):
        return bytes.fromhex(self.call("node_getInfo")["chain_id"])

    def account(self, name):
        """The account, or None."""
        return self.call("chain_getAccount", name=name)

    def send(self, transaction, wait="irreversible", timeout_ms=30_000):
        options = {"wait": wait, "timeout_ms": timeout_ms}
        return self.call("chain_sendTransaction", transaction=transaction.hex(), options=options)

    def receipt(self, identity):
        """The receipt, or None."""
        return self.call("chain_getReceipt", id=identity.hex())
