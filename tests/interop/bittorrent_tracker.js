// A tracker by bittorrent-tracker over UDP and HTTP, for an interop test.
//
//     node bittorrent_tracker.js PORT [TLSPORT KEY CERTIFICATE]
//
// BIP_BITTORRENT_TRACKER is the folder of the package. Of that the server alone is loaded: the client has parts that are to be built. It prints
// `ready` when it listens at all addresses of the host; with a key and a certificate also over HTTPS.

'use strict'
const fs = require('node:fs')
const https = require('node:https')
const path = require('node:path')
const { pathToFileURL } = require('node:url')

const script = path.join(process.env.BIP_BITTORRENT_TRACKER, 'server.js')
import(pathToFileURL(script)).then(({ default: Server }) => {
  const server = new Server({ udp: true, http: true, ws: false, stats: false })
  server.on('error', error => { throw error })
  server.on('warning', warning => console.error(warning.message))
  const [port, tlsPort, key, certificate] = process.argv.slice(2)
  server.listen(Number(port), () => {
    if (!tlsPort) return console.log('ready')
    const options = { key: fs.readFileSync(key), cert: fs.readFileSync(certificate) }
    const tls = https.createServer(options, (request, reply) => server.onHttpRequest(request, reply))
    tls.listen(Number(tlsPort), () => console.log('ready'))
  })
})
