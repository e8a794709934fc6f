#!/usr/bin/env python3
"""Nodes of the DHT by libtorrent, for an interop test.

    lt_dht.py --listen ADDR:PORT,... [--bootstrap ADDR:PORT,...] [--local]

One node for each address; the first asks the bootstrap nodes, the others ask them, or the first where there are none. With --local the rules are lifted
that keep nodes apart which are all on one host.

Standard output is one JSON object a line: first {"nodes": ["ADDR:PORT", ...]}, then an answer for each line of standard input, at whose end the
program ends. A line is the number of a node, a command and its arguments; values and salts are hexadecimal, and "-" is no salt:

    0 known                                     {"known": ["ADDR:PORT", ...]}             the nodes in its table, where bootstrap nodes never are
    0 announce HASH PORT | 0 seed HASH PORT     {}                                        it goes on in the background
    0 peers HASH                                {"peers": ["ADDR:PORT", ...]}
    0 put VALUE                                 {"target": HASH, "stored": 8}
    0 get TARGET                                {"value": VALUE or null}
    0 put-signed SEED KEY SALT SEQ VALUE        {"seq": 1, "stored": 8}                   libtorrent itself counts one up from what it finds
    0 get-signed KEY SALT                       {"value": VALUE or null, "seq": 1}
    0 sample ADDR:PORT TARGET                   {"samples": [HASH, ...], "total": 1, "interval": 300}
"""

import argparse
import hashlib
import json
import sys
import time

import libtorrent as lt

# How long an answer may take, in seconds.
PATIENCE = 20


def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def display(address):
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def new_session(listen, bootstrap, local):
    settings = {
        "listen_interfaces": listen,
        "enable_dht": True,
        "dht_bootstrap_nodes": ",".join(bootstrap),
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_ip_notifier": False,
        # Torrents of the sample may change at once.
        "dht_sample_infohashes_interval": 0,
        "alert_queue_size": 10000,
        "alert_mask": lt.alert.category_t.dht_notification
        | lt.alert.category_t.dht_operation_notification
        | lt.alert.category_t.status_notification
        | lt.alert.category_t.error_notification,
    }
    if local:
        settings |= {
            # Otherwise one node of each address, or of each /24, is in a table and in a lookup.
            "dht_restrict_routing_ips": False,
            "dht_restrict_search_ips": False,
            # Otherwise nodes at addresses of local networks are not asked.
            "dht_ignore_dark_internet": False,
            # Otherwise ids have to go with addresses (BEP 42).
            "dht_prefer_verified_node_ids": False,
            "dht_enforce_node_id": False,
            # Otherwise an address that asks more than 5 times a second is not answered for five minutes, and 8 kB a second are sent.
            "dht_block_ratelimit": 1000000,
            "dht_block_timeout": 1,
            "dht_upload_rate_limit": 100000000,
        }
    return lt.session(settings)


class Node:
    def __init__(self, listen, bootstrap, local):
        self.session = new_session(listen, bootstrap, local)
        self.address = self.wait(lt.listen_succeeded_alert, lambda a: a.socket_type == lt.socket_type_t.udp and display((a.address, a.port)))

    def wait(self, kind, read, patience=PATIENCE):
        """What `read` makes of the first alert of a kind that it makes something of."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            self.session.wait_for_alert(50)
            for alert in self.session.pop_alerts():
                if isinstance(alert, kind):
                    found = read(alert)
                    if found is not None and found is not False:
                        return found
        return None

    def known(self):
        self.session.pop_alerts()
        found = []
        # Tables are told by the id that they are of.
        state = self.session.save_state(lt.save_state_flags_t.save_dht_state)
        for own in ids(state):
            self.session.dht_live_nodes(own)
            nodes = self.wait(lt.dht_live_nodes_alert, lambda a: a.nodes or [], 2) or []
            found += [display(node["endpoint"]) for node in nodes]
        return {"known": found}

    def announce(self, hash, port, flags=0):
        self.session.dht_announce(sha1(hash), int(port), flags)
        return {}

    def seed(self, hash, port):
        return self.announce(hash, port, 1)

    def peers(self, hash):
        self.session.pop_alerts()
        self.session.dht_get_peers(sha1(hash))
        # It tells of each reply with peers, and not of the end.
        found = self.wait(lt.dht_get_peers_reply_alert, lambda a: str(a.info_hash) == hash and [display(p) for p in a.peers()] or None, 2)
        return {"peers": found or []}

    def put(self, value):
        self.session.pop_alerts()
        target = self.session.dht_put_immutable_item(bytes.fromhex(value))
        stored = self.wait(lt.dht_put_alert, lambda a: str(a.target) == str(target) and (a.num_success,))
        return {"target": str(target), "stored": stored and stored[0]}

    def get(self, target):
        self.session.pop_alerts()
        self.session.dht_get_immutable_item(sha1(target))
        found = self.wait(lt.dht_immutable_item_alert, lambda a: str(a.target) == target and (a.item,))
        return {"value": value(found)}

    def put_signed(self, seed, key, salt, _seq, value):
        self.session.pop_alerts()
        # The secret key that libtorrent takes is the seed's hash (RFC 8032, 5.1.5).
        secret = bytearray(hashlib.sha512(bytes.fromhex(seed)).digest())
        secret[0] &= 248
        secret[31] = secret[31] & 63 | 64
        self.session.dht_put_mutable_item(bytes(secret), bytes.fromhex(key), bytes.fromhex(value), unhex(salt))
        done = self.wait(lt.dht_put_alert, lambda a: bytes(a.public_key) == bytes.fromhex(key) and (a.seq, a.num_success))
        return {"seq": done and done[0], "stored": done and done[1]}

    def get_signed(self, key, salt):
        self.session.pop_alerts()
        self.session.dht_get_mutable_item(bytes.fromhex(key), unhex(salt))
        found = self.wait(lt.dht_mutable_item_alert, lambda a: a.authoritative and bytes(a.key) == bytes.fromhex(key) and (a.item, a.seq))
        return {"value": value(found), "seq": found and found[1]}

    def sample(self, address, target):
        self.session.pop_alerts()
        self.session.dht_sample_infohashes(endpoint(address), sha1(target))
        found = self.wait(lt.dht_sample_infohashes_alert, lambda a: a)
        if found is None:
            return {"error": "no answer"}
        interval = found.interval
        return {
            "samples": [str(h) for h in found.samples],
            "total": found.num_infohashes,
            "interval": interval.total_seconds() if hasattr(interval, "total_seconds") else interval,
        }


def ids(state):
    state = state.get(b"dht state", {})
    for entry in state.get(b"node-id", []):
        yield lt.sha1_hash(bytes(entry)[:20])


def sha1(text):
    return lt.sha1_hash(bytes.fromhex(text))


def unhex(salt):
    return b"" if salt == "-" else bytes.fromhex(salt)


def value(found):
    # What was not found is an empty string.
    return found[0].hex() or None if found and isinstance(found[0], bytes) else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--bootstrap", default="")
    parser.add_argument("--local", action="store_true")
    args = parser.parse_args()
    bootstrap = [node for node in args.bootstrap.split(",") if node]
    nodes = []
    for listen in args.listen.split(","):
        nodes.append(Node(listen, bootstrap or [node.address for node in nodes[:1]], args.local))
    print(json.dumps({"nodes": [node.address for node in nodes]}), flush=True)
    for line in sys.stdin:
        node, command, *words = line.split()
        try:
            answer = getattr(nodes[int(node)], command.replace("-", "_"))(*words)
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
