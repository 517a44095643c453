// Package casino holds the files of the simulated casino's example, so that `pitboss demo` and `pitboss bench` need no
// checkout: the bundle that train/ built from vectors that pitboss exported, and the rates. It holds no logic; the
// README beside it says how the bundle was made.
package casino

import "embed"

// Files are the example's files: bundle/ and rates.yaml.
//
//go:embed bundle rates.yaml
var Files embed.FS
