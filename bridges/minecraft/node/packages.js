// npm packages in the cache folder into which `iafm minecraft install` put them.
import { createRequire } from 'node:module'
import path from 'node:path'

/** A `require` that looks for packages in `folder`. */
export function packagesIn (folder) {
  return createRequire(path.join(folder, 'package.json'))
}
