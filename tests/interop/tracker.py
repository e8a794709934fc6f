#!/usr/bin/env python3
"""A tiny HTTP tracker: it brings together clients that cannot be told a peer, and tells the test what they report.

    tracker.py --listen ADDR:PORT [--peer ADDR:PORT]...

Everybody who announces is told of everybody else who did, and of each --peer, which need not announce: in compact form
(BEP 23), whatever the client asks for. Peers are known by the address that they connect from.

Standard output is one JSON object a line:

    {"event": "ready", "port": 6969}
    {"event": "announce", "address": "10.0.0.1:51413", "what": "started", "left": 0, "uploaded": 0, "downloaded": 0}

It ends when standard input ends.
"""

import argparse
import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# Seconds. Clients with a lower limit of their own keep to that.
INTERVAL = 5
OUTPUT = threading.Lock()


def say(event, **fields):
    with OUTPUT:
        print(json.dumps({"event": event, **fields}), flush=True)


def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def bencode(value):
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


class Swarms:
    """The peers of every torrent."""

    def __init__(self, fixed):
        self.lock = threading.Lock()
        self.fixed = [endpoint(text) for text in fixed]
        self.swarms = {}

    def announce(self, info_hash, peer, event):
        """Takes note of a peer, and gives the others."""
        with self.lock:
            swarm = self.swarms.setdefault(info_hash, [])
            if event == "stopped":
                if peer in swarm:
                    swarm.remove(peer)
                return []
            if peer not in swarm:
                swarm.append(peer)
            others = dict.fromkeys(self.fixed + swarm)
            others.pop(peer, None)
            return list(others)


class Handler(BaseHTTPRequestHandler):
    swarms = None

    def do_GET(self):
        url = urlsplit(self.path)
        # Percent-encoded bytes, not text.
        query = {key: values[0] for key, values in parse_qs(url.query, encoding="latin-1").items()}
        if url.path != "/announce":
            self.send_error(404)
            return
        try:
            info_hash = query["info_hash"].encode("latin-1")
            peer = (self.client_address[0], int(query["port"]))
            figures = {key: int(query[key]) for key in ("left", "uploaded", "downloaded")}
        except (KeyError, ValueError) as error:
            self.reply({b"failure reason": f"bad announce: {error!r}".encode()})
            return
        what = query.get("event", "")
        others = self.swarms.announce(info_hash, peer, what)
        peers = b"".join(socket.inet_aton(host) + port.to_bytes(2, "big") for host, port in others)
        self.reply({b"interval": INTERVAL, b"min interval": INTERVAL, b"peers": peers})
        say("announce", address=f"{peer[0]}:{peer[1]}", what=what, **figures)

    def reply(self, value):
        body = bencode(value)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        print(f"{self.client_address[0]}: {format % args}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--peer", action="append", default=[])
    args = parser.parse_args()
    Handler.swarms = Swarms(args.peer)
    server = ThreadingHTTPServer(endpoint(args.listen), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("ready", port=server.server_address[1])
    while os.read(0, 4096):
        pass


if __name__ == "__main__":
    main()
