package vfs

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

// pageSize is the unit in which a power cut keeps or loses what was not fsynced.
const pageSize = 4096

// Mem is a file system in RAM that remembers what was fsynced, so that it can show the disk after a power cut.
type Mem struct {
	mu    sync.Mutex // guards all below, and all inodes
	names map[string]*inode
	// stable is what a power cut leaves of the names; pending are the changes since, in order: a journalling file
	// system keeps some prefix of them.
	stable  map[string]*inode
	pending []nameChange
	locks   map[string]bool
	open    map[*memFile]string // path by open file
}

type nameChange struct {
	from, to string // rename if both are set, create if only to, remove if only from
	node     *inode
}

type inode struct {
	data   []byte       // what the process reads
	stable []byte       // what a power cut leaves at least
	dirty  map[int]bool // pages of data that are not in stable
}

var _ FS = (*Mem)(nil)

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{names: map[string]*inode{}, stable: map[string]*inode{}, locks: map[string]bool{}, open: map[*memFile]string{}}
}

// MkdirAll implements FS: every directory is there.
func (m *Mem) MkdirAll(string) error { return nil }

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for path := range m.names {
		if filepath.Dir(path) == filepath.Clean(dir) {
			names = append(names, filepath.Base(path))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Open implements FS.
func (m *Mem) Open(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, ok := m.names[filepath.Clean(path)]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return m.file(path, node), nil
}

// OpenFiles returns the paths, as they were opened, of the files that are not closed: a test's way to find a leak.
func (m *Mem) OpenFiles() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Values(m.open))
}

// Orphans returns those of the OpenFiles that no name leads to any more: their space is not free yet.
func (m *Mem) Orphans() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	named := map[*inode]bool{}
	for _, node := range m.names {
		named[node] = true
	}
	var paths []string
	for f, path := range m.open {
		if !named[f.n] {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// file is called with mu held.
func (m *Mem) file(path string, node *inode) *memFile {
	f := &memFile{m, node}
	m.open[f] = path
	return f
}

// Create implements FS.
func (m *Mem) Create(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	node, ok := m.names[path]
	if !ok {
		node = &inode{dirty: map[int]bool{}}
		m.names[path] = node
		m.pending = append(m.pending, nameChange{to: path, node: node})
	}
	node.truncate(0)
	return m.file(path, node), nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	node, ok := m.names[from]
	if !ok {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(m.names, from)
	m.names[to] = node
	m.pending = append(m.pending, nameChange{from: from, to: to, node: node})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = filepath.Clean(path)
	if _, ok := m.names[path]; !ok {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	delete(m.names, path)
	m.pending = append(m.pending, nameChange{from: path})
	return nil
}

// SyncDir implements FS; there is one directory in use.
func (m *Mem) SyncDir(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stable, m.pending = maps.Clone(m.names), nil
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(path string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[path] {
		return nil, &LockedError{}
	}
	m.locks[path] = true
	return memLock{m, path}, nil
}

// Kill returns the file system as another process finds it after this one was killed: all that was written.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := NewMem()
	k.names = cloneNames(m.names, func(n *inode) *inode {
		return &inode{data: slices.Clone(n.data), stable: slices.Clone(n.data), dirty: map[int]bool{}}
	})
	k.stable = maps.Clone(k.names)
	return k
}

// PowerCut returns the file system as it is found after a power cut: all that was fsynced, and of the rest what r
// draws. Ordered keeps the unsynced bytes of a file up to some byte, as most file systems do for appended data;
// otherwise any of its pages may be missing, read as zeros.
func (m *Mem) PowerCut(r *rand.Rand, ordered bool) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.stable)
	for _, c := range m.pending[:r.IntN(len(m.pending)+1)] {
		delete(names, c.from)
		if c.to != "" {
			names[c.to] = c.node
		}
	}
	k := NewMem()
	k.names = cloneNames(names, func(n *inode) *inode {
		data := n.afterCut(r, ordered)
		return &inode{data: data, stable: slices.Clone(data), dirty: map[int]bool{}}
	})
	k.stable = maps.Clone(k.names)
	return k
}

// LoseDirty does to a file what Linux does when write-back fails: its dirty pages become clean without ever having
// reached the disk, so that the next fsync succeeds and saves nothing of them.
func (m *Mem) LoseDirty(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, ok := m.names[filepath.Clean(path)]; ok {
		clear(n.dirty)
	}
}

// Bytes returns a copy of a file's content, nil if there is none; for tests that look at or damage it.
func (m *Mem) Bytes(path string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.names[filepath.Clean(path)]
	if !ok {
		return nil
	}
	return slices.Clone(n.data)
}

// SetBytes replaces a file's content, as if it had always been so.
func (m *Mem) SetBytes(path string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := &inode{data: slices.Clone(data), stable: slices.Clone(data), dirty: map[int]bool{}}
	m.names[filepath.Clean(path)], m.stable[filepath.Clean(path)] = n, n
}

func cloneNames(names map[string]*inode, clone func(*inode) *inode) map[string]*inode {
	out := make(map[string]*inode, len(names))
	for _, path := range slices.Sorted(maps.Keys(names)) { // sorted: the draws of a seed must not depend on the map
		out[path] = clone(names[path])
	}
	return out
}

// afterCut is what a power cut leaves of the content.
func (n *inode) afterCut(r *rand.Rand, ordered bool) []byte {
	size := len(n.stable)
	switch r.IntN(3) {
	case 0:
		size = len(n.data)
	case 1:
		size = min(len(n.stable), len(n.data)) + r.IntN(abs(len(n.data)-len(n.stable))+1)
	}
	out := make([]byte, size)
	copy(out, n.stable)
	for _, page := range slices.Sorted(maps.Keys(n.dirty)) {
		from, to := page*pageSize, min((page+1)*pageSize, len(n.data), size)
		if from < to && (ordered || r.IntN(2) == 0) {
			copy(out[from:to], n.data[from:to])
		}
	}
	return out
}

func abs(n int) int { return max(n, -n) }

func (n *inode) truncate(size int) {
	if size < len(n.data) {
		n.data = n.data[:size:size]
	}
	n.data = append(n.data, make([]byte, size-len(n.data))...)
	n.dirty[size/pageSize] = true
}

type memFile struct {
	m *Mem
	n *inode
}

// ReadAt implements File.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements File.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	end := int(off) + len(p)
	if end > len(f.n.data) {
		f.n.data = append(f.n.data, make([]byte, end-len(f.n.data))...)
	}
	copy(f.n.data[off:], p)
	for page := int(off) / pageSize; page*pageSize < end; page++ {
		f.n.dirty[page] = true
	}
	return len(p), nil
}

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.n.truncate(int(size))
	return nil
}

// Sync implements File.
func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n := f.n
	if len(n.stable) > len(n.data) {
		n.stable = n.stable[:len(n.data)]
	}
	n.stable = append(n.stable, make([]byte, len(n.data)-len(n.stable))...)
	for page := range n.dirty {
		if from := page * pageSize; from < len(n.data) {
			copy(n.stable[from:], n.data[from:min(from+pageSize, len(n.data))])
		}
	}
	clear(n.dirty)
	return nil
}

// Size implements File.
func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

// Close implements File.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if _, ok := f.m.open[f]; !ok {
		return fs.ErrClosed
	}
	delete(f.m.open, f)
	return nil
}

type memLock struct {
	m    *Mem
	path string
}

// Close gives the lock free.
func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.path)
	return nil
}
