package registry

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pitboss/models"
)

// newPrefix marks directories of the store that are being written. Open clears what a dead process left.
const newPrefix = ".new-"

// openStore makes the store's directory and clears what was being written when a process died.
func openStore(path string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return fmt.Errorf("cannot make it: %w", err)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("cannot list it: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) {
			if err := os.RemoveAll(filepath.Join(path, e.Name())); err != nil {
				return fmt.Errorf("cannot clear what was left in it: %w", err)
			}
		}
	}
	return nil
}

// store keeps a copy of the bundle under its hash. The copy appears whole or not at all.
func store(path string, c *contents, limits models.Limits) (err error) {
	final := filepath.Join(path, hex.EncodeToString(c.hash[:]))
	if _, err = os.Lstat(final); err == nil {
		return checkStored(final, c.hash, limits)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for a copy: %w", err)
	}
	tmp, err := os.MkdirTemp(path, newPrefix)
	if err != nil {
		return fmt.Errorf("cannot make a directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := c.writeTo(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil {
		return fmt.Errorf("cannot move the copy into its place: %w", err)
	}
	return syncDir(path)
}

// checkStored holds a bundle that the store has already against its hash: a damaged copy must not be relied on.
func checkStored(dir string, hash [32]byte, limits models.Limits) error {
	c, err := readBundle(dir, int64(limits.MaxFileBytes))
	if err != nil {
		return fmt.Errorf("the copy %q is damaged (take it away to have it written anew): %w", dir, err)
	}
	if c.hash != hash {
		return fmt.Errorf("the copy %q is damaged (take it away to have it written anew): its hash is %x", dir, c.hash)
	}
	return nil
}

// fromStore loads a bundle that was used before.
func fromStore(path string, hash [32]byte, cfg Config) (*Bundle, error) {
	dir := filepath.Join(path, hex.EncodeToString(hash[:]))
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the store %q has none: %w", path, ErrUnknown)
	}
	b, err := Load(dir, cfg)
	if err != nil {
		return nil, err
	}
	if b.Hash != hash {
		return nil, fmt.Errorf("the copy %q is damaged: its hash is %x", dir, b.Hash)
	}
	b.stored = true
	return b, nil
}
