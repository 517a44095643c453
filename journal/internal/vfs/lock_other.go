//go:build !unix

package vfs

import (
	"errors"
	"io"
)

// lock refuses: without a lock that dies with its process, two of them could write one journal.
func lock(string) (io.Closer, error) { return nil, errors.ErrUnsupported }
