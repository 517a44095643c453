package main

import (
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
)

// TestDiskUseWhileFilesGo measures a directory whose files come and go, as Badger's tables do.
func TestDiskUseWhileFilesGo(t *testing.T) {
	dir := t.TempDir()
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		var err error
		for i := 0; err == nil && !stop.Load(); i++ {
			path := filepath.Join(dir, strconv.Itoa(i%64))
			if err = os.WriteFile(path, []byte("table"), 0o600); err == nil {
				err = os.Remove(path)
			}
		}
		done <- err
	}()
	for range 2000 {
		if _, err := diskUse(dir); err != nil {
			t.Errorf("files that go: %v", err)
			break
		}
	}
	stop.Store(true)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
