//go:build unix

package states

import (
	"fmt"
	"syscall"
)

// checkFree refuses to write where the disk is nearly full.
func checkFree(dir string, least int64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("cannot ask for the free space of %q: %w", dir, err)
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < least { //nolint:unconvert // other systems have other types
		return fmt.Errorf("cannot write the state in %q: %d bytes are free, fewer than %d: %w", dir, free, least, syscall.ENOSPC)
	}
	return nil
}
