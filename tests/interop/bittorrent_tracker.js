// A tracker by bittorrent-tracker over UDP and HTTP, for an interop test.
//
//     node bittorrent_tracker.js PORT
//
// BIP_BITTORRENT_TRACKER is the folder of the package. Of that the server alone is loaded: the client has parts that are to be built. It prints
// `ready` when it listens at all addresses of the host.

'use strict'
const path = require('node:path')
const { pathToFileURL } = require('node:url')

const script = path.join(process.env.BIP_BITTORRENT_TRACKER, 'server.js')
import(pathToFileURL(script)).then(({ default: Server }) => {
  const server = new Server({ udp: true, http: true, ws: false, stats: false })
  server.on('error', error => { throw error })
  server.on('warning', warning => console.error(warning.message))
  server.listen(Number(process.argv[2]), () => console.log('ready'))
})
