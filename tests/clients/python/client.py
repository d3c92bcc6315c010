"""Command line: send one transaction to a running node and wait until it is final.

    client.py transfer --rpc http://127.0.0.1:8645 --secret HEX --from alice --to bob --amount 250
    client.py receipt --rpc http://127.0.0.1:8645 --id HEX

Prints the receipt as JSON. Exit code 0: executed with success and irreversible. 1: refused, failed or not final yet.
"""

import argparse
import json
import sys
import urllib.error

import rpc
import transactions


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    transfer = commands.add_parser("transfer", help="move an amount to an account")
    transfer.add_argument("--rpc", required=True, help="URL of the node's JSON-RPC interface")
    transfer.add_argument("--secret", required=True, type=bytes.fromhex, help="secret key of the sender, 64 digits")
    transfer.add_argument("--from", dest="sender", required=True)
    transfer.add_argument("--to", required=True)
    transfer.add_argument("--amount", required=True, type=int, help="in base units")
    transfer.add_argument("--memo", default="", type=str.encode)
    transfer.add_argument("--fee-max", type=int, default=1_000_000, help="in base units")
    transfer.add_argument("--nonce", type=int, help="the account's next one if absent")
    transfer.add_argument("--wait", choices=["accepted", "committed", "irreversible"], default="irreversible")
    transfer.add_argument("--timeout-ms", type=int, default=30_000)
    receipt = commands.add_parser("receipt", help="show the receipt of a transaction")
    receipt.add_argument("--rpc", required=True, help="URL of the node's JSON-RPC interface")
    receipt.add_argument("--id", required=True, type=bytes.fromhex, help="id of the transaction, 64 digits")
    return parser.parse_args()


def transfer(node, options):
    nonce = options.nonce
    if nonce is None:
        account = node.account(options.sender)
        if account is None:
            raise RuntimeError(f"there is no account {options.sender}")
        nonce = int(account["nonce"])
    fields = {
        "sender": options.sender,
        "nonce": nonce,
        "fee_max": options.fee_max,
        "expires_at": None,
        "action": {"kind": "transfer", "to": options.to, "amount": options.amount, "memo": options.memo},
    }
    signed = transactions.sign(node.chain_id(), options.secret, fields)
    sent = node.send(signed.transaction, options.wait, options.timeout_ms)
    if sent["transaction_id"] != signed.id.hex():
        raise RuntimeError(f"the node computes another id: {sent['transaction_id']}, not {signed.id.hex()}")
    if sent["timed_out"]:
        raise RuntimeError(f"not {options.wait} after {options.timeout_ms} ms: {json.dumps(sent)}")
    return node.receipt(signed.id) if options.wait != "accepted" else sent


def main():
    options = arguments()
    node = rpc.Node(options.rpc)
    try:
        result = transfer(node, options) if options.command == "transfer" else node.receipt(options.id)
    except (RuntimeError, ValueError, urllib.error.URLError) as error:
        print(f"client.py: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result, indent=2))
    is_final = result is not None and result.get("finality") == "irreversible" and result.get("status") == "success"
    is_as_asked = options.command == "transfer" and options.wait != "irreversible" and result is not None
    return 0 if is_final or is_as_asked else 1


if __name__ == "__main__":
    sys.exit(main())
