//go:build unix

package states

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/dgraph-io/badger/v4"
)

// openBadger opens Badger, also after a kill. A process that dies between making a log file and giving it its size leaves an
// empty one. Badger refuses a directory with one, and does not end the goroutines that it had started by then: so it never
// gets to see one.
func openBadger(opt badger.Options) (*badger.DB, error) {
	if err := removeEmptyLogs(opt.Dir); err != nil {
		return nil, err
	}
	return badger.OpenManaged(opt) //nolint:wrapcheck // the caller says what it was about
}

// removeEmptyLogs removes log files that nothing was written to, under Badger's own lock: another process may be making one.
func removeEmptyLogs(dir string) (err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot look for empty logs: %w", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil // another process uses the directory, as Badger is going to say
	}
	if err != nil {
		return fmt.Errorf("cannot lock the directory: %w", err)
	}
	files, err := d.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("cannot look for empty logs: %w", err)
	}
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := f.Info()
		if err == nil && info.Size() == 0 {
			err = os.Remove(filepath.Join(dir, f.Name()))
		}
		if err != nil {
			return fmt.Errorf("cannot remove an empty log: %w", err)
		}
	}
	return nil
}
