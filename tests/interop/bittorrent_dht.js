// Nodes of the DHT by bittorrent-dht, for an interop test.
//
//     node bittorrent_dht.js --listen ADDR:PORT,... [--bootstrap ADDR:PORT,...]
//
// BIP_BITTORRENT_DHT is the folder of the package. What it prints and reads is as with lt_dht.py, without `seed` and `sample`.
// It has no rules about addresses: many nodes on one host need no settings.

'use strict'
const crypto = require('node:crypto')
const path = require('node:path')
const readline = require('node:readline')
const { pathToFileURL } = require('node:url')

// How long a query is waited for, in milliseconds. It takes clients that have asked into its table, and they are gone soon.
const TIMEOUT = 500

function option (name) {
  const at = process.argv.indexOf(name)
  return at < 0 ? [] : process.argv[at + 1].split(',').filter(Boolean)
}

// It leaves signatures to the program.
function verify (signature, message, key) {
  const x = Buffer.from(key).toString('base64url')
  const publicKey = crypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return crypto.verify(null, message, publicKey, signature)
}

function signer (seed, key) {
  const jwk = { kty: 'OKP', crv: 'Ed25519', d: Buffer.from(seed, 'hex').toString('base64url'), x: Buffer.from(key, 'hex').toString('base64url') }
  const privateKey = crypto.createPrivateKey({ key: jwk, format: 'jwk' })
  return message => crypto.sign(null, message, privateKey)
}

const salted = (options, salt) => salt === '-' ? options : { ...options, salt: Buffer.from(salt, 'hex') }

const hex = bytes => Buffer.from(bytes).toString('hex')

const commands = {
  known (dht, done) {
    done(null, { known: dht.nodes.toArray().map(node => `${node.host}:${node.port}`) })
  },
  announce (dht, done, hash, port) {
    dht.announce(hash, Number(port), (error, stored) => done(error, { stored }))
  },
  peers (dht, done, hash) {
    const peers = new Set()
    const found = (peer, of) => { if (hex(of) === hash) peers.add(`${peer.host}:${peer.port}`) }
    dht.on('peer', found)
    dht.lookup(hash, error => {
      dht.off('peer', found)
      done(error, { peers: [...peers] })
    })
  },
  put (dht, done, value) {
    dht.put({ v: Buffer.from(value, 'hex') }, (error, target, stored) => done(error, { target: target && hex(target), stored }))
  },
  get (dht, done, target) {
    dht.get(target, { cache: false }, (error, found) => done(error, { value: found ? hex(found.v) : null }))
  },
  'put-signed' (dht, done, seed, key, salt, seq, value) {
    const item = { k: Buffer.from(key, 'hex'), seq: Number(seq), v: Buffer.from(value, 'hex'), sign: signer(seed, key) }
    dht.put(salted(item, salt), (error, target, stored) => done(error, { seq: Number(seq), stored }))
  },
  'get-signed' (dht, done, key, salt) {
    const hash = crypto.createHash('sha1').update(key, 'hex')
    const target = (salt === '-' ? hash : hash.update(salt, 'hex')).digest()
    dht.get(target, salted({ cache: false }, salt), (error, found) => {
      done(error, { value: found ? hex(found.v) : null, seq: found ? found.seq : null })
    })
  }
}

async function main () {
  const entry = path.join(process.env.BIP_BITTORRENT_DHT, 'index.js')
  const { Client } = await import(pathToFileURL(entry).href)
  const bootstrap = option('--bootstrap')
  const nodes = []
  const addresses = []
  for (const listen of option('--listen')) {
    const [host, port] = listen.split(':')
    const first = bootstrap.length ? bootstrap : addresses.slice(0, 1)
    const dht = new Client({ bootstrap: first.length ? first : false, verify, timeout: TIMEOUT })
    dht.on('warning', warning => console.error(`${warning}`))
    await new Promise((resolve, reject) => {
      dht.on('error', reject)
      dht.listen(Number(port), host, resolve)
    })
    nodes.push(dht)
    addresses.push(`${host}:${dht.address().port}`)
  }
  console.log(JSON.stringify({ nodes: addresses }))
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [node, command, ...words] = line.trim().split(' ')
    const answer = await new Promise(resolve => {
      const done = (error, answer) => resolve(error ? { error: `${error}` } : answer)
      try {
        commands[command](nodes[Number(node)], done, ...words)
      } catch (error) {
        done(error)
      }
    })
    console.log(JSON.stringify(answer))
  }
  process.exit(0)
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
