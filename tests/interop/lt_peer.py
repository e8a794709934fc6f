#!/usr/bin/env python3
"""libtorrent as the other side of an interop test.

    lt_peer.py seed    TORRENT DIR --listen ADDR:PORT [--peer ADDR:PORT]... [--upload-limit BYTES_PER_S] [--announce]
    lt_peer.py leech   TORRENT DIR --listen ADDR:PORT [--peer ADDR:PORT]... [--announce]
    lt_peer.py check   TORRENT DIR
    lt_peer.py create  PATH OUT [--piece-length BYTES] [--hybrid | --v2] [--private] [--comment TEXT] [--tracker URL]...
    lt_peer.py inspect TORRENT

Standard output is one JSON object a line:

    {"event": "ready", "port": 6881, "info_hash": "...", "have": 0, "pieces": 16}     seed, leech: listening, data checked
    {"event": "progress", "up": 0, "down": 0, "have": 0}                              seed, leech: whenever one changed
    {"event": "done", "up": 0, "down": 0}                                             leech: every piece is there
    {"event": "end", "up": 0, "down": 0}                                              seed, leech: asked to stop
    {"event": "checked", "have": 16, "pieces": 16, "complete": true}                  check
    {"event": "created", "info_hash": "...", "info_hash_v2": "..."}                   create (null where there is none)
    {"event": "inspected", ...}                                                       inspect

"up" and "down" count payload bytes. seed and leech end at SIGTERM, or when standard input ends, so that nothing is
left running if the test itself is killed.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
import threading

import libtorrent as lt

ENCRYPTION_DISABLED = 2
STOP = threading.Event()


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def endpoint(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


# ---------------------------------------------------------------------------------------------- seed, leech, check


def new_session(listen):
    """A session that speaks plain TCP to the peers it is told, and to nobody else unless the torrent's trackers are asked."""
    return lt.session(
        {
            "listen_interfaces": listen,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "in_enc_policy": ENCRYPTION_DISABLED,
            "out_enc_policy": ENCRYPTION_DISABLED,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            # Every address is on one interface, and tests come and go quickly.
            "allow_multiple_connections_per_ip": True,
            "min_reconnect_time": 1,
            "max_failcount": 100,
            "seeding_outgoing_connections": True,
            "close_redundant_connections": False,
            "unchoke_slots_limit": -1,
            "alert_mask": lt.alert.category_t.error_notification
            | lt.alert.category_t.status_notification
            | lt.alert.category_t.peer_notification
            | lt.alert.category_t.connect_notification,
        }
    )


def add_torrent(session, torrent, folder, upload_limit=0, announce=False):
    params = lt.load_torrent_file(torrent)
    params.save_path = folder
    if not announce:
        params.trackers = []
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if upload_limit:
        params.upload_limit = upload_limit
    return session.add_torrent(params)


def log_alerts(session):
    """Alerts go to standard error, which a failing test shows. Says whether the cache was flushed."""
    flushed = False
    for alert in session.pop_alerts():
        flushed |= isinstance(alert, lt.cache_flushed_alert)
        print(f"{type(alert).__name__}: {alert.message()}", file=sys.stderr, flush=True)
    return flushed


def is_checked(status):
    state = lt.torrent_status
    return status.state not in (state.checking_files, state.checking_resume_data)


def wait_until_checked(session, handle):
    while not STOP.is_set():
        session.wait_for_alert(20)
        log_alerts(session)
        status = handle.status()
        if status.errc.value():
            sys.exit(f"libtorrent: {status.errc.message()}")
        if is_checked(status):
            return status
    return handle.status()


def transfer(args):
    session = new_session(args.listen)
    handle = add_torrent(session, args.torrent, args.dir, args.upload_limit, args.announce)
    status = wait_until_checked(session, handle)
    pieces = handle.torrent_file().num_pieces()
    if args.command == "seed" and not STOP.is_set() and not status.is_seeding:
        sys.exit(f"libtorrent: only {status.num_pieces} of {pieces} pieces of what should be seeded are good")
    say(
        "ready",
        port=session.listen_port(),
        info_hash=str(handle.info_hashes().v1),
        have=status.num_pieces,
        pieces=pieces,
    )
    for peer in args.peer:
        handle.connect_peer(endpoint(peer))
    last, flushing, done = None, False, args.command == "seed"
    while not STOP.is_set():
        session.wait_for_alert(20)
        flushed = log_alerts(session)
        status = handle.status()
        now = (status.total_payload_upload, status.total_payload_download, status.num_pieces)
        if now != last:
            say("progress", up=now[0], down=now[1], have=now[2])
            last = now
        if status.is_seeding and not done and not flushing:
            # The last pieces may be good and still on their way to the disk.
            handle.flush_cache()
            flushing = True
        elif flushing and flushed:
            say("done", up=now[0], down=now[1])
            flushing, done = False, True
        if args.peer and not status.num_peers and not status.is_seeding:
            # libtorrent gives up on a peer it was told by hand sooner than the test does.
            for peer in args.peer:
                handle.connect_peer(endpoint(peer))
            STOP.wait(0.2)
    status = handle.status()
    say("end", up=status.total_payload_upload, down=status.total_payload_download)


def check(args):
    session = new_session("")
    handle = add_torrent(session, args.torrent, args.dir)
    status = wait_until_checked(session, handle)
    pieces = handle.torrent_file().num_pieces()
    say("checked", have=status.num_pieces, pieces=pieces, complete=status.is_seeding)


# ------------------------------------------------------------------------------------------------- create, inspect


def create(args):
    flags = lt.create_torrent.v2_only if args.v2 else 0 if args.hybrid else lt.create_torrent.v1_only
    torrent = lt.create_torrent(lt.list_files(args.path), args.piece_length, flags)
    for tier, url in enumerate(args.tracker):
        torrent.add_tracker(url, tier)
    if args.comment:
        torrent.set_comment(args.comment)
    torrent.set_priv(args.private)
    torrent.set_creator("libtorrent " + lt.version)
    lt.set_piece_hashes(torrent, os.path.dirname(os.path.abspath(args.path)))
    with open(args.out, "wb") as out:
        out.write(lt.bencode(torrent.generate()))
    info_hash, info_hash_v2 = hashes(lt.load_torrent_file(args.out))
    say("created", info_hash=info_hash, info_hash_v2=info_hash_v2)


def hashes(loaded):
    both = loaded.info_hashes
    return (str(both.v1) if both.has_v1() else None, str(both.v2) if both.has_v2() else None)


def bdecode(data, at=0):
    """A second opinion that shares no code with either side: (value, end), with spans of dictionary values."""
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        at, items = at + 1, []
        while data[at : at + 1] != b"e":
            item, at = bdecode(data, at)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        at, entries = at + 1, Dictionary()
        while data[at : at + 1] != b"e":
            key, start = bdecode(data, at)
            entries[key], at = bdecode(data, start)
            entries.spans[key] = (start, at)
        return entries, at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    if end > len(data):
        raise ValueError(f"a string at {at} reaches past the end")
    return data[colon + 1 : end], end


class Dictionary(dict):
    def __init__(self):
        super().__init__()
        self.spans = {}


def text(value):
    return None if value is None else value.decode("utf-8")


def leaves(tree, path):
    """The files of a file tree (BEP 52): their paths, with their lengths and roots."""
    for name, entry in tree.items():
        here = [*path, text(name)]
        if b"" in entry:
            leaf = entry[b""]
            root = leaf.get(b"pieces root")
            yield "/".join(here), (leaf[b"length"], root and root.hex())
        else:
            yield from leaves(entry, here)


def place(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def inspect(args):
    with open(args.torrent, "rb") as file:
        data = file.read()
    root, _ = bdecode(data)
    info = root[b"info"]
    start, end = root.spans[b"info"]
    name = text(info[b"name"])
    roots = dict(leaves(info[b"file tree"], [name])) if b"file tree" in info else {}
    if b"files" in info:
        files = [
            {"path": "/".join([name, *map(text, file[b"path"])]), "length": file[b"length"]}
            for file in info[b"files"]
            if b"p" not in file.get(b"attr", b"")
        ]
    elif b"length" in info:
        files = [{"path": name, "length": info[b"length"]}]
    else:
        files = [{"path": path, "length": length} for path, (length, _) in roots.items()]
    if b"length" in info or list(roots) == [f"{name}/{name}"] and b"files" not in info:
        # One file stands in the tree under the torrent's name.
        roots = {name: leaf for leaf in roots.values()}
        files = [{"path": name, "length": files[0]["length"]}]
    for file in files:
        file["pieces_root"] = roots[file["path"]][1] if roots else None
    if b"announce-list" in root:
        trackers = [[text(url) for url in tier] for tier in root[b"announce-list"]]
    else:
        trackers = [[text(root[b"announce"])]] if b"announce" in root else []
    loaded = lt.load_torrent_file(args.torrent)
    info_hash, info_hash_v2 = hashes(loaded)
    layout = loaded.ti.layout()
    stored = [i for i in range(layout.num_files()) if not layout.file_flags(i) & lt.file_flags_t.flag_pad_file]
    is_v1, is_v2 = b"pieces" in info, info.get(b"meta version") == 2
    piece_length = info[b"piece length"]
    say(
        "inspected",
        name=name,
        versions=[version for version, there in ((1, is_v1), (2, is_v2)) if there],
        info_hash=hashlib.sha1(data[start:end]).hexdigest() if is_v1 else None,
        info_hash_v2=hashlib.sha256(data[start:end]).hexdigest() if is_v2 else None,
        piece_length=piece_length,
        pieces=len(info[b"pieces"]) // 20 if is_v1 else sum(-(-file["length"] // piece_length) for file in files),
        total_length=sum(file["length"] for file in files),
        private=bool(info.get(b"private", 0)),
        files=files,
        trackers=trackers,
        web_seeds=[text(url) for url in root.get(b"url-list", [])],
        nodes=[place(text(host), port) for host, port in root.get(b"nodes", [])],
        comment=text(root.get(b"comment")),
        created_by=text(root.get(b"created by")),
        creation_date=root.get(b"creation date"),
        source=text(info.get(b"source")),
        libtorrent={
            "info_hash": info_hash,
            "info_hash_v2": info_hash_v2,
            "pieces": layout.num_pieces(),
            "files": [
                {
                    "path": layout.file_path(i),
                    "length": layout.file_size(i),
                    "pieces_root": str(layout.root(i)) if is_v2 and layout.file_size(i) else None,
                }
                for i in stored
            ],
            "trackers": sorted(loaded.trackers),
            "web_seeds": sorted(loaded.url_seeds),
            "nodes": [place(host, port) for host, port in loaded.dht_nodes],
        },
    )


# ------------------------------------------------------------------------------------------------------------ main


def stop_at_end_of_input():
    # Not sys.stdin, whose lock would be held when the interpreter ends.
    while os.read(0, 4096):
        pass
    STOP.set()


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("seed", "leech"):
        command = commands.add_parser(name)
        command.add_argument("torrent")
        command.add_argument("dir")
        command.add_argument("--listen", required=True)
        command.add_argument("--peer", action="append", default=[])
        command.add_argument("--upload-limit", type=int, default=0)
        command.add_argument("--announce", action="store_true")
        command.set_defaults(run=transfer)
    command = commands.add_parser("check")
    command.add_argument("torrent")
    command.add_argument("dir")
    command.set_defaults(run=check)
    command = commands.add_parser("create")
    command.add_argument("path")
    command.add_argument("out")
    command.add_argument("--piece-length", type=int, default=0)
    command.add_argument("--hybrid", action="store_true")
    command.add_argument("--v2", action="store_true")
    command.add_argument("--private", action="store_true")
    command.add_argument("--comment")
    command.add_argument("--tracker", action="append", default=[])
    command.set_defaults(run=create)
    command = commands.add_parser("inspect")
    command.add_argument("torrent")
    command.set_defaults(run=inspect)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    if args.run is transfer:
        threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    args.run(args)


if __name__ == "__main__":
    main()
