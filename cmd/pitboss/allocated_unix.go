//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// allocated gives the bytes that a file takes on disk, which for a sparse one are fewer than its size.
func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512 // the unit of st_blocks, whatever the file system's own
	}
	return info.Size()
}
