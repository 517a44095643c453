//go:build !unix

package states

import (
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/ristretto/v2/z"
)

// mendings bounds the attempts of openBadger: one for each file that a kill can have left empty.
const mendings = 4

// openBadger opens Badger, also after a kill. A process that dies between making a log file and giving it its size leaves an
// empty one, which Badger reports as a new file where it expected an old one; the attempt that fails gives the file its
// size, under Badger's own lock, and the next one opens. A few goroutines of the attempt that failed stay.
func openBadger(opt badger.Options) (*badger.DB, error) {
	for attempt := 1; ; attempt++ {
		db, err := badger.OpenManaged(opt)
		// Badger wraps no error of its own: its text is all there is.
		if err == nil || attempt == mendings || !strings.HasSuffix(err.Error(), z.NewFile.Error()) {
			return db, err //nolint:wrapcheck // the caller says what it was about
		}
	}
}
